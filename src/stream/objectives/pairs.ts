import { MswitchError } from "../../base/errors.js";
import type { Split } from "../../corpus/shards/shard.js";
import type { TokenDataset, TokenRun } from "../../dataset/read/tokenDataset.js";

/** Tokens looked at in one piece when a run is cut into pairs. */
const scanTokens = 2 ** 16;

/** Where the text-to-text pairs of a run lie, in tokens: pair i's inputs are [ends[2i − 1] + 1, ends[2i]), its targets [ends[2i] + 1, ends[2i + 1]). */
export interface PairIndex {
  /** Places of the ends-of-sequence, two a pair: [2 · pairs]. */
  ends: Float64Array;
  pairs: number;
}

/** How many examples are longer than the rows of a batch, and lose what is beyond. */
export interface Truncation {
  examples: number;
  /** Those whose inputs are cut, and those whose targets are. */
  inputs: number;
  targets: number;
}

const indices = new WeakMap<TokenDataset, Map<string, PairIndex>>();

/**
 * Finds the pairs of one task in one language by reading its tokens once: 16 bytes a pair are kept with the dataset.
 *
 * @throws MswitchError where the tokens are not those of as many pairs as the manifest says
 */
export function pairIndex(dataset: TokenDataset, language: string, split: Split): PairIndex {
  const ofDataset = indices.get(dataset) ?? new Map<string, PairIndex>();
  indices.set(dataset, ofDataset);
  const key = `${language} ${split}`;
  const known = ofDataset.get(key);
  if (known) return known;
  const made = findPairs(dataset.run(language, split), dataset);
  ofDataset.set(key, made);
  return made;
}

function findPairs(run: TokenRun, { dir, vocabulary: { eosId } }: TokenDataset): PairIndex {
  const ends = new Float64Array(2 * run.documents);
  const buffer = new Int32Array(Math.min(scanTokens, run.tokens));
  let found = 0;
  for (let at = 0; at < run.tokens; at += buffer.length) {
    const ids = buffer.subarray(0, Math.min(buffer.length, run.tokens - at));
    run.read(at, ids);
    for (let i = ids.indexOf(eosId); i >= 0; i = ids.indexOf(eosId, i + 1)) {
      if (found < ends.length) ends[found] = at + i;
      found++;
    }
  }
  if (found !== ends.length || (found > 0 && ends[found - 1] !== run.tokens - 1)) {
    throw new MswitchError("the dataset's rows are no text-to-text pairs", {
      code: "dataset-damaged",
      where: `${dir} ${run.language} ${run.split}`,
      why: `its ${run.documents} rows hold ${found} ends of sequence, two a row are expected`,
      hint: "make it anew with mswitch preprocess --pairs",
    });
  }
  return { ends, pairs: run.documents };
}

/**
 * Writes pair `pair` into rows of a batch: each side's ids and the end-of-sequence. Of a side that is longer than its row the first ids
 * are kept, and the end-of-sequence after them (T5's `trim` and `append_eos_after_trim`).
 *
 * @param inputs row to write to, zeros
 * @param targets row to write to, zeros
 */
export function writePair(
  run: TokenRun,
  { ends }: PairIndex,
  pair: number,
  eosId: number,
  inputs: Int32Array,
  targets: Int32Array,
): void {
  const side = (index: number, row: Int32Array): void => {
    const begin = index === 0 ? 0 : ends[index - 1] + 1;
    const length = Math.min(ends[index] - begin, row.length - 1);
    run.read(begin, row.subarray(0, length));
    row[length] = eosId;
  };
  side(2 * pair, inputs);
  side(2 * pair + 1, targets);
}

/** Ids of a pair's sides, each with its end-of-sequence. */
export function pairLengths({ ends }: PairIndex, pair: number): { inputs: number; targets: number } {
  const begin = pair === 0 ? 0 : ends[2 * pair - 1] + 1;
  return { inputs: ends[2 * pair] - begin + 1, targets: ends[2 * pair + 1] - ends[2 * pair] };
}

/** Counts the pairs of a run that `writePair` cuts. */
export function countTruncated(index: PairIndex, lengths: { inputs: number; targets: number }): Truncation {
  const count: Truncation = { examples: 0, inputs: 0, targets: 0 };
  for (let pair = 0; pair < index.pairs; pair++) {
    const whole = pairLengths(index, pair);
    const inputs = whole.inputs > lengths.inputs;
    const targets = whole.targets > lengths.targets;
    if (inputs) count.inputs++;
    if (targets) count.targets++;
    if (inputs || targets) count.examples++;
  }
  return count;
}
