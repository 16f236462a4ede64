import type { Split } from "../../corpus/shards/shard.js";
import type { TokenDataset, TokenRun } from "../../dataset/read/tokenDataset.js";
import { permutation } from "../permutation.js";
import { type PairIndex, pairIndex, pairLengths, writePair } from "./pairs.js";

/** Positions of a row. */
interface RowLengths {
  inputs: number;
  targets: number;
}

/** The pairs of one task in one language in rows that are filled: row r holds pairs `order(begins[r])` to `order(begins[r + 1] − 1)`. */
export interface PackedRows {
  rows: number;
  begins: Float64Array;
  order(at: number): number;
  index: PairIndex;
  lengths: RowLengths;
}

const known = new WeakMap<TokenDataset, Map<string, PackedRows>>();

/**
 * Packs the pairs of one task in one language: in an order that is drawn once for the dataset, each into the row of the one before it as
 * long as both sides fit. A pair that is longer than a row is cut, as without packing. The rows are the same in every epoch and for every seed; their
 * order is not. Keeps 8 bytes a row with the dataset.
 */
export function packedRows(dataset: TokenDataset, language: string, split: Split, lengths: RowLengths): PackedRows {
  const ofDataset = known.get(dataset) ?? new Map<string, PackedRows>();
  known.set(dataset, ofDataset);
  const key = `${language} ${split} ${lengths.inputs} ${lengths.targets}`;
  const found = ofDataset.get(key);
  if (found) return found;
  const made = pack(pairIndex(dataset, language, split), language, lengths);
  ofDataset.set(key, made);
  return made;
}

function pack(index: PairIndex, language: string, lengths: RowLengths): PackedRows {
  const order = permutation(Math.max(index.pairs, 1), 0, "packing", language);
  const begins = [0];
  let [inputs, targets] = [0, 0];
  for (let at = 0; at < index.pairs; at++) {
    const pair = pairLengths(index, order(at));
    const [moreInputs, moreTargets] = [Math.min(pair.inputs, lengths.inputs), Math.min(pair.targets, lengths.targets)];
    if (inputs + moreInputs > lengths.inputs || targets + moreTargets > lengths.targets) {
      begins.push(at);
      [inputs, targets] = [0, 0];
    }
    inputs += moreInputs;
    targets += moreTargets;
  }
  const rows = index.pairs === 0 ? 0 : begins.length;
  return { rows, begins: Float64Array.from([...begins, index.pairs]), order, index, lengths };
}

/**
 * Writes the pairs of a row one after the other, each side with its end-of-sequence: pair n of the row is what stands between the n-th end and the
 * next, in the inputs as in the targets.
 *
 * @param inputs row to write to, zeros
 * @param targets row to write to, zeros
 */
export function writePackedRow(
  run: TokenRun,
  { begins, order, index }: PackedRows,
  row: number,
  eosId: number,
  inputs: Int32Array,
  targets: Int32Array,
): void {
  let [input, target] = [0, 0];
  for (let at = begins[row]; at < begins[row + 1]; at++) {
    const pair = order(at);
    const lengths = pairLengths(index, pair);
    writePair(run, index, pair, eosId, inputs.subarray(input), targets.subarray(target));
    input += Math.min(lengths.inputs, inputs.length);
    target += Math.min(lengths.targets, targets.length);
  }
}
