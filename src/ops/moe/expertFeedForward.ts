import * as tf from "@tensorflow/tfjs-core";
import { fastKernel, fastOp } from "../fastPath.js";
import { type FeedForwardWeights, gatedGelu } from "../feedForward.js";
import { type Dropout, dropout as dropEntries, dropoutAttributes } from "../random/noise.js";

/**
 * Every expert's feed-forward layer on its own slots, as batched matrix products. A fast path gives the weights' gradients in the
 * slots' dtype.
 *
 * @param slots_ECD [experts, slots, dModel]
 * @param weights stacked: [experts, dFf, dModel] in, [experts, dModel, dFf] out
 * @param dropout expert dropout (fine-tuning), on the intermediate activation
 * @param occupied_EG int32 [experts, groups]: how many slots of each expert's group hold a token, the first ones; the others must
 *   be 0 and a fast path leaves them out
 */
export function expertFeedForward(
  slots_ECD: tf.Tensor3D,
  weights: FeedForwardWeights,
  dropout?: Dropout,
  occupied_EG?: tf.Tensor2D,
): tf.Tensor3D {
  const kernel = fastKernel("TorchExpertFeedForward");
  const gradient = fastKernel("TorchExpertFeedForwardGrad");
  if (!kernel || !gradient) return expertFeedForwardReference(slots_ECD, weights, dropout);
  const attrs = dropoutAttributes(dropout);
  const step: tf.NamedTensorMap = dropout ? { step: dropout.key.step } : {};
  const [experts, capacity] = slots_ECD.shape;
  const occupied = occupied_EG ?? tf.fill([experts, 1], capacity, "int32");
  const wi = weights.kind === "relu" ? [weights.wi] : [weights.wi0, weights.wi1];
  const named = (tensors: tf.Tensor[], name: string): tf.NamedTensorMap =>
    Object.fromEntries(tensors.map((tensor, i) => [`${name}${i}`, tensor]));
  return fastOp(
    [slots_ECD, ...wi, weights.wo],
    () => {
      const [y, ...pre] = kernel({ slots: slots_ECD, occupied, ...named(wi, "wi"), wo: weights.wo, ...step }, attrs);
      return {
        value: y as tf.Tensor3D,
        saved: [slots_ECD, occupied, weights.wo, ...wi, ...pre, ...Object.values(step)],
      };
    },
    (dy, [slots, used, wo, ...rest]) => {
      const inputs = named(rest.slice(0, wi.length), "wi");
      const pre = named(rest.slice(wi.length, 2 * wi.length), "pre");
      const at = rest[2 * wi.length];
      return gradient({ dy, slots, occupied: used, wo, ...inputs, ...pre, ...(at ? { step: at } : {}) }, attrs);
    },
  );
}

/** What the fast path is held to. */
export function expertFeedForwardReference(
  slots_ECD: tf.Tensor3D,
  weights: FeedForwardWeights,
  dropout?: Dropout,
): tf.Tensor3D {
  const product = (x: tf.Tensor, w: tf.Tensor): tf.Tensor => tf.matMul(x, w, false, true);
  const hidden_ECF =
    weights.kind === "relu"
      ? tf.relu(product(slots_ECD, weights.wi))
      : gatedGelu(product(slots_ECD, weights.wi0), product(slots_ECD, weights.wi1));
  const kept_ECF = dropout ? dropEntries(hidden_ECF, dropout.rate, dropout.key) : hidden_ECF;
  return product(kept_ECF, weights.wo) as tf.Tensor3D;
}
