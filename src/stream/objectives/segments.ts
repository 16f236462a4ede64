import type { Split } from "../../corpus/shards/shard.js";
import type { TokenDataset, TokenRun } from "../../dataset/read/tokenDataset.js";
import type { ExampleLengths } from "../batch.js";

/** One token alone leaves nothing to mask and to keep. */
const fewestTokens = 2;

/**
 * How many examples one reading of a run gives: segment s holds tokens [s·T, (s+1)·T). The last, shorter one is kept, as in T5,
 * where it has at least two tokens.
 */
export function segmentCount(tokens: number, lengths: ExampleLengths): number {
  const rest = tokens % lengths.tokens;
  return (tokens - rest) / lengths.tokens + (rest >= fewestTokens ? 1 : 0);
}

/** The tokens of one segment, read into `buffer` (of `lengths.tokens`); a view of it. */
export function readSegment(run: TokenRun, segment: number, lengths: ExampleLengths, buffer: Int32Array): Int32Array {
  const offset = segment * lengths.tokens;
  const view = buffer.subarray(0, Math.min(lengths.tokens, run.tokens - offset));
  run.read(offset, view);
  return view;
}

/** Codes of which at least one example can be made, in the dataset's order. */
export function usableLanguages(dataset: TokenDataset, split: Split): string[] {
  return dataset.languages(split).filter((language) => dataset.run(language, split).tokens >= fewestTokens);
}
