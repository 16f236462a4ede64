import * as tf from "@tensorflow/tfjs-core";
import { likeliestToken, type OutputHead } from "../../ops/decode/nextToken.js";
import type { Decoder } from "./decoder.js";
import { type Generated, type GenerateLimits, startId } from "./generated.js";

/**
 * Writes each row's likeliest token, over and over, up to the end of sequence: Transformers' `generate` with one beam.
 *
 * @param decoder at its start, of `rows` rows; left where the last of them ended
 * @param head the model's output layer
 */
export async function greedy(
  decoder: Decoder,
  head: OutputHead,
  rows: number,
  { maxNewTokens, eosId, signal }: GenerateLimits,
): Promise<Generated[]> {
  const written: number[][] = Array.from({ length: rows }, () => []);
  /** Rows that the decoder has, by the row they were given as. */
  let open = written.map((_, row) => row);
  const isEnded = (row: number): boolean => written[row].at(-1) === eosId;
  let ids = new Int32Array(rows).fill(startId);
  for (let length = 0; length < maxNewTokens && !open.every(isEnded); length++) {
    signal?.throwIfAborted();
    const hidden = decoder.step(ids);
    const next = likeliestToken(hidden, head);
    ids = Int32Array.from(await next.data<"int32">());
    tf.dispose([hidden, next]);
    for (const [i, row] of open.entries()) if (!isEnded(row)) written[row].push(ids[i]);
    const left = open.flatMap((row, i) => (isEnded(row) ? [] : [i]));
    // To go on with fewer rows copies what is kept of them: once half of them have ended, not for each.
    if (left.length > 0 && left.length <= open.length / 2) {
      decoder.select(Int32Array.from(left));
      ids = ids.filter((_, i) => left.includes(i));
      open = left.map((i) => open[i]);
    }
  }
  return written.map((row) => ({ ids: Int32Array.from(row) }));
}
