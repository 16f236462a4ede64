import * as tf from "@tensorflow/tfjs-core";
import { fastKernel, fastOp } from "./fastPath.js";
import { linearReference } from "./linear.js";
import { type Dropout, dropout as dropEntries, dropoutAttributes } from "./random/noise.js";

/** The weights of a feed-forward layer: [dFf, dModel] in, [dModel, dFf] out; stacked experts have a leading axis. */
export type FeedForwardWeights =
  | { kind: "relu"; wi: tf.Tensor; wo: tf.Tensor }
  | { kind: "gated-gelu"; wi0: tf.Tensor; wi1: tf.Tensor; wo: tf.Tensor };

/**
 * T5's feed-forward layer, wo(relu(wi x)), or T5.1.1's, wo(gelu(wi_0 x) ⊙ wi_1 x), in x's dtype.
 *
 * @param x [..., D]
 * @param dropout applied to the intermediate activation; undefined: none
 */
export function feedForward<T extends tf.Tensor>(x: T, weights: FeedForwardWeights, dropout?: Dropout): T {
  const forward = fastKernel("TorchFeedForward");
  const backward = fastKernel("TorchFeedForwardGrad");
  if (!forward || !backward) return feedForwardReference(x, weights, dropout);
  const attrs = dropoutAttributes(dropout);
  const step: tf.NamedTensorMap = dropout ? { step: dropout.key.step } : {};
  const { wo } = weights;
  const into: tf.NamedTensorMap =
    weights.kind === "relu" ? { wi0: weights.wi } : { wi0: weights.wi0, wi1: weights.wi1 };
  return fastOp(
    [x, ...Object.values(into), wo],
    () => {
      const [y, ...made] = forward({ x, ...into, wo, ...step }, attrs);
      return { value: y as T, saved: [x, ...made, ...Object.values(step)] };
    },
    (dy, [input, h, wiStacked, woCast, at]) =>
      backward({ dy, x: input, h, wi: wiStacked, wo: woCast, ...(at ? { step: at } : {}) }, attrs),
  );
}

/** What `feedForward` is held to, in TensorFlow.js's operations. */
export function feedForwardReference<T extends tf.Tensor>(x: T, weights: FeedForwardWeights, dropout?: Dropout): T {
  const hidden =
    weights.kind === "relu"
      ? tf.relu(linearReference(x, weights.wi))
      : gatedGelu(linearReference(x, weights.wi0), linearReference(x, weights.wi1));
  return linearReference(dropout ? dropEntries(hidden, dropout.rate, dropout.key) : hidden, weights.wo) as T;
}

const slope = 2 * Math.sqrt(2 / Math.PI);
const cubic = 0.044715;

/**
 * gelu(gate) ⊙ value with the GELU in its tanh form (Transformers' "gelu_new"), written as gate·σ(2u), u = √(2/π)(g + 0.044715 g³),
 * because ½(1 + tanh u) = σ(2u) and sigmoid is vectorised where tanh is not.
 */
export function gatedGelu<T extends tf.Tensor>(gate: T, value: T): T {
  const op = tf.customGrad((g, v, save) => {
    const g2 = tf.square(g as tf.Tensor);
    const sigmoid = tf.sigmoid(tf.mul(g as tf.Tensor, tf.add(tf.mul(g2, slope * cubic), slope)));
    const gelu = tf.mul(g as tf.Tensor, sigmoid);
    (save as tf.GradSaveFunc)([g2, sigmoid, gelu, v as tf.Tensor]);
    return {
      value: tf.mul(gelu, v as tf.Tensor),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [square, sig, activated, factor] = saved;
        // d gelu/dg = σ + g·σ·(1 − σ)·2u′ with 2u′ = slope·(1 + 3·0.044715·g²)
        const steepness = tf.add(tf.mul(square, 3 * slope * cubic), slope);
        const dGelu = tf.add(sig, tf.mul(tf.mul(activated, tf.sub(1, sig)), steepness));
        return [tf.mul(tf.mul(dy, factor), dGelu), tf.mul(dy, activated)];
      },
    };
  });
  return op(gate, value) as T;
}
