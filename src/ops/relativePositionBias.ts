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
 * The learned bias that T5 adds to the attention scores of every layer of a stack, by distance: a score's bias depends on
 * key − query alone.
 *
 * @param table [buckets, H]
 * @returns [queries + keys − 1, H]: row key − query + queries − 1
 */
export function relativePositionBias(
  table: tf.Tensor2D,
  queries: number,
  keys: number,
  options: RelativePositionOptions,
): tf.Tensor2D {
  const bucket = Int32Array.from({ length: queries + keys - 1 }, (_, i) =>
    relativePositionBucket(i - (queries - 1), options),
  );
  return embedding(table, tf.tensor1d(bucket, "int32")) as tf.Tensor2D;
}
