import { usageError } from "../../base/errors.js";
import type { RandomStream } from "../../base/random.js";
import type { Split } from "../../corpus/shards/shard.js";
import type { TokenDataset } from "../../dataset/read/tokenDataset.js";
import type { ExampleLengths, ExampleShape } from "../batch.js";
import { exampleLengths, requireSentinels } from "./exampleLengths.js";
import { packedRows, writePackedRow } from "./packedPairs.js";
import { countTruncated, pairIndex, type Truncation, writePair } from "./pairs.js";
import { readSegment, segmentCount } from "./segments.js";
import { corruptSpans } from "./spanCorruption.js";

/** The examples that an objective makes of one split of a dataset. */
export interface ExampleSource {
  lengths: ExampleLengths;
  /** Examples of one reading of a language. */
  count(language: string): number;
  /**
   * Writes an example into rows of zeros.
   *
   * @param example from 0, below `count(language)`
   * @param random what noise is drawn from
   */
  write(language: string, example: number, random: RandomStream, inputs: Int32Array, targets: Int32Array): void;
  /** How many of a language's examples are cut to fit; of span corruption none ever is. */
  truncated(language: string): Truncation;
}

/**
 * Span corruption of a dataset of text, or the pairs of a dataset of pairs.
 *
 * @throws usageError where the dataset is of the other kind, or the lengths hold no example
 */
export function exampleSource(dataset: TokenDataset, split: Split, shape: ExampleShape): ExampleSource {
  const { objective = "span-corruption" } = shape;
  const content = dataset.manifest.content ?? "text";
  if ((content === "pairs") !== (objective === "pairs")) {
    throw usageError(`the objective ${objective} cannot be trained on a dataset of ${content}`, {
      code: "dataset-objective-mismatch",
      where: dataset.dir,
      hint:
        content === "pairs"
          ? "set objective: pairs, or name a dataset of text (mswitch preprocess without --pairs)"
          : "name a dataset of text-to-text pairs (mswitch preprocess --pairs), or leave objective out",
    });
  }
  return objective === "pairs" ? pairSource(dataset, split, shape) : spanSource(dataset, split, shape);
}

function spanSource(dataset: TokenDataset, split: Split, { inputLength, ...corruption }: ExampleShape): ExampleSource {
  const lengths = exampleLengths(inputLength, corruption);
  requireSentinels(lengths, dataset.vocabulary, corruption);
  const buffer = new Int32Array(lengths.tokens);
  return {
    lengths,
    count: (language) => segmentCount(dataset.run(language, split).tokens, lengths),
    write(language, segment, random, inputs, targets) {
      const tokens = readSegment(dataset.run(language, split), segment, lengths, buffer);
      corruptSpans(tokens, dataset.vocabulary, random, inputs, targets, corruption);
    },
    truncated: () => ({ examples: 0, inputs: 0, targets: 0 }),
  };
}

function pairSource(
  dataset: TokenDataset,
  split: Split,
  { inputLength, targetLength, packing }: ExampleShape,
): ExampleSource {
  for (const [name, length] of [
    ["inputLength", inputLength],
    ["targetLength", targetLength],
  ] as const) {
    if (length !== undefined && Number.isSafeInteger(length) && length >= 2) continue;
    throw usageError(`stream.${name} is ${length ?? "missing"}`, {
      code: "input-length-invalid",
      why: "a row of a text-to-text pair has at least one token and the end of the sequence",
      hint: `set stream.${name}; mswitch dataset inspect shows how long the pairs are`,
    });
  }
  const lengths = { inputs: inputLength, targets: targetLength!, tokens: inputLength + targetLength! };
  const truncated = (language: string): Truncation => countTruncated(pairIndex(dataset, language, split), lengths);
  if (packing) {
    return {
      lengths,
      count: (language) => packedRows(dataset, language, split, lengths).rows,
      write(language, row, _, inputs, targets) {
        const packed = packedRows(dataset, language, split, lengths);
        writePackedRow(dataset.run(language, split), packed, row, dataset.vocabulary.eosId, inputs, targets);
      },
      truncated,
    };
  }
  return {
    lengths,
    count: (language) => dataset.run(language, split).documents,
    write: (language, pair, _, inputs, targets) =>
      writePair(
        dataset.run(language, split),
        pairIndex(dataset, language, split),
        pair,
        dataset.vocabulary.eosId,
        inputs,
        targets,
      ),
    truncated,
  };
}
