import * as tf from "@tensorflow/tfjs-core";
import { embedding } from "./embedding.js";

export interface RelativePositionOptions {
  /** Encoder: half the buckets for each sign. Decoder: keys after the query share bucket 0 (they are masked anyway). */
  bidirectional: boolean;
  /** T5: 32. */
  buckets: number;
  /** Distances from here on share the last bucket. T5: 128. */
  maxDistance: number;
}

/**
 * T5's bucket of a relative position (key − query): small distances have their own, larger ones share buckets that grow
 * logarithmically. Rounded to float32 at every step as Transformers does, since a bucket's edge is an equality.
 */
export function relativePositionBucket(relativePosition: number, options: RelativePositionOptions): number {
  const buckets = options.bidirectional ? options.buckets / 2 : options.buckets;
  const base = options.bidirectional && relativePosition > 0 ? buckets : 0;
  const distance = options.bidirectional ? Math.abs(relativePosition) : Math.max(-relativePosition, 0);
  const exact = buckets / 2;
  if (distance < exact) return base + distance;
  const fround = Math.fround;
  const octaves = fround(fround(Math.log(fround(distance / exact))) / fround(Math.log(options.maxDistance / exact)));
  return base + Math.min(exact + Math.trunc(fround(octaves * (buckets - exact))), buckets - 1);
}

/**
 * The learned bias that T5 adds to the attention scores of every layer of a stack.
 *
 * @param table [buckets, H]
 * @returns [1, H, queries, keys]
 */
export function relativePositionBias(
  table: tf.Tensor2D,
  queries: number,
  keys: number,
  options: RelativePositionOptions,
): tf.Tensor4D {
  const byDistance = Int32Array.from({ length: queries + keys - 1 }, (_, i) =>
    relativePositionBucket(i - (queries - 1), options),
  );
  const bucket = new Int32Array(queries * keys);
  for (let query = 0; query < queries; query++) {
    const start = queries - 1 - query;
    bucket.set(byDistance.subarray(start, start + keys), query * keys);
  }
  const bias_TSH = embedding(table, tf.tensor2d(bucket, [queries, keys], "int32"));
  return tf.expandDims(tf.transpose(bias_TSH, [2, 0, 1]), 0);
}
