import { MswitchError } from "../../base/errors.js";
import type { RandomStream } from "../../base/random.js";
import type { Vocabulary } from "../../vocab/vocabulary.js";
import type { Corruption } from "../batch.js";
import { noiseCounts } from "./exampleLengths.js";

type SpecialIds = Pick<Vocabulary, "eosId" | "sentinelIds">;

/**
 * Splits `items` into `parts` non-empty parts, every composition equally likely, and returns the parts' lengths.
 *
 * T5 shuffles items−1 flags of which parts−1 are set (a set flag begins a new part). Floyd's sampling draws the same uniform
 * choice of flags with parts−1 random numbers instead of items−2.
 */
export function randomComposition(items: number, parts: number, random: RandomStream): Int32Array {
  const beginsPart = new Uint8Array(items - 1);
  for (let last = items - parts; last < items - 1; last++) {
    const flag = random.integer(last + 1);
    beginsPart[beginsPart[flag] ? last : flag] = 1;
  }
  const lengths = new Int32Array(parts);
  let part = 0;
  lengths[0] = 1;
  for (const begins of beginsPart) {
    part += begins;
    lengths[part]++;
  }
  return lengths;
}

/**
 * T5's span corruption (`span_corruption`, by default 15 % noise, mean span 3; Raffel et al. 2020, §3.1.4). That share
 * of the tokens is masked in spans; the text starts clean and ends masked. Inputs: the clean tokens, the k-th masked span
 * replaced by sentinel k, end-of-sequence. Targets: sentinel k and the tokens of span k for each k, end-of-sequence, with no
 * closing sentinel.
 *
 * The counts are deterministic, so a segment of the lengths' own `tokens` fills its rows exactly and a shorter one fits: T5's
 * trimming before the end-of-sequence never has anything to trim.
 *
 * @param tokens one segment of a language's run, at least 2 tokens
 * @param inputs row to write to, zeros
 * @param targets row to write to, zeros
 */
export function corruptSpans(
  tokens: Int32Array,
  { eosId, sentinelIds }: SpecialIds,
  random: RandomStream,
  inputs: Int32Array,
  targets: Int32Array,
  corruption?: Corruption,
): void {
  const { noise, spans } = noiseCounts(tokens.length, corruption);
  const noiseLengths = randomComposition(noise, spans, random);
  const cleanLengths = randomComposition(tokens.length - noise, spans, random);
  let read = 0;
  let input = 0;
  let target = 0;
  for (let span = 0; span < spans; span++) {
    const masked = read + cleanLengths[span];
    while (read < masked) inputs[input++] = tokens[read++];
    inputs[input++] = sentinelIds[span];
    targets[target++] = sentinelIds[span];
    const end = masked + noiseLengths[span];
    while (read < end) targets[target++] = tokens[read++];
  }
  inputs[input] = eosId;
  targets[target] = eosId;
}

/**
 * The inverse of `corruptSpans`: the original tokens, from one row of inputs and one of targets (padding allowed). Holds where
 * no token of the text is itself a sentinel or the end-of-sequence.
 *
 * @throws MswitchError where the two rows do not belong together
 */
export function uncorrupt(inputs: Int32Array, targets: Int32Array, { eosId, sentinelIds }: SpecialIds): number[] {
  const sentinels = new Set(sentinelIds);
  const tokens: number[] = [];
  let span = 0;
  let target = 0;
  for (const id of untilEos(inputs, eosId)) {
    if (!sentinels.has(id)) {
      tokens.push(id);
      continue;
    }
    if (id !== sentinelIds[span] || targets[target] !== id) {
      throw new MswitchError("inputs and targets are not of the same example", {
        code: "example-inconsistent",
        why: `masked span ${span} has sentinel ${id} in the inputs and ${targets[target]} in the targets`,
      });
    }
    span++;
    target++;
    while (target < targets.length && targets[target] !== eosId && !sentinels.has(targets[target])) {
      tokens.push(targets[target++]);
    }
  }
  if (targets[target] !== eosId) {
    throw new MswitchError("inputs and targets are not of the same example", {
      code: "example-inconsistent",
      why: `the inputs have ${span} masked spans, the targets have more or no end`,
    });
  }
  return tokens;
}

function untilEos(row: Int32Array, eosId: number): Int32Array {
  const end = row.indexOf(eosId);
  if (end < 0) throw new MswitchError("the inputs have no end-of-sequence", { code: "example-inconsistent" });
  return row.subarray(0, end);
}
