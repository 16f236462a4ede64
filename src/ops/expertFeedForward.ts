import * as tf from "@tensorflow/tfjs-core";
import { type FeedForwardWeights, gatedGelu } from "./feedForward.js";

/**
 * Every expert's feed-forward layer on its own slots, as batched matrix products.
 *
 * @param slots_ECD [experts, slots, dModel]
 * @param weights stacked: [experts, dFf, dModel] in, [experts, dModel, dFf] out
 * @param dropout expert dropout (fine-tuning), on the intermediate activation
 */
export function expertFeedForward(
  slots_ECD: tf.Tensor3D,
  weights: FeedForwardWeights,
  dropout: (hidden: tf.Tensor) => tf.Tensor = (hidden) => hidden,
): tf.Tensor3D {
  const product = (x: tf.Tensor, w: tf.Tensor): tf.Tensor => tf.matMul(x, w, false, true);
  const hidden_ECF =
    weights.kind === "relu"
      ? tf.relu(product(slots_ECD, weights.wi))
      : gatedGelu(product(slots_ECD, weights.wi0), product(slots_ECD, weights.wi1));
  return product(dropout(hidden_ECF), weights.wo) as tf.Tensor3D;
}
