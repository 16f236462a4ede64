import type { ModelConfig } from "../model/config.js";
import { type GenerateOptions, generateIds } from "../model/generate/generateIds.js";
import type { Parameters } from "../model/parameters.js";
import type { Tokenizer } from "../vocab/tokenizer.js";
import type { Vocabulary } from "../vocab/vocabulary.js";

/** A model with its vocabulary: text in, text out. */
export interface TextModel {
  config: ModelConfig;
  params: Parameters;
  tokenizer: Tokenizer;
  vocabulary: Pick<Vocabulary, "eosId" | "unkId" | "size" | "sentinelIds">;
}

export interface GeneratedText {
  text: string;
  /** With beams: summed log probability over length^lengthPenalty. */
  score?: number;
  /** Whether the model ended the text itself, or `maxNewTokens` cut it off. */
  isEnded: boolean;
  /** Tokens of the source that `maxInputTokens` left out. */
  cutTokens: number;
}

export interface GenerateTextOptions extends Omit<GenerateOptions, "eosId"> {
  /** Most tokens of a source, its end of sequence included: longer ones are cut; as long as they are where left out. */
  maxInputTokens?: number;
}

/** What a model writes for each text, in order. See `generateIds`. A row without a piece is written as the unknown piece. */
export async function generateTexts(
  { config, params, tokenizer, vocabulary: { eosId, unkId, size, sentinelIds } }: TextModel,
  texts: readonly string[],
  { maxInputTokens = Number.POSITIVE_INFINITY, ...options }: GenerateTextOptions,
): Promise<GeneratedText[]> {
  const sources = tokenizer.encodeBatch(texts);
  const kept = sources.map((ids) => [...ids.subarray(0, Math.min(ids.length, maxInputTokens - 1)), eosId]);
  const written = await generateIds(config, params, kept, { ...options, eosId });
  // Tables have more rows than there are pieces; an untrained model may choose one of those.
  const known = (id: number): number => (id < size || sentinelIds.includes(id) ? id : unkId);
  return written.map(({ ids, score }, i) => {
    const isEnded = ids.at(-1) === eosId;
    return {
      text: tokenizer.decode((isEnded ? ids.subarray(0, -1) : ids).map(known)),
      ...(score === undefined ? {} : { score }),
      isEnded,
      cutTokens: sources[i].length + 1 - kept[i].length,
    };
  });
}
