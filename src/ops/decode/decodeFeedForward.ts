import * as tf from "@tensorflow/tfjs-core";
import { fastKernel } from "../fastPath.js";
import { type FeedForwardWeights, feedForward } from "../feedForward.js";

/** `feedForward` of one position of each row, for inference: a fast path reads the weights once where they lie. @param x_B1D [B, 1, D] */
export function decodeFeedForward(x_B1D: tf.Tensor3D, weights: FeedForwardWeights): tf.Tensor3D {
  const kernel = fastKernel("TorchDecodeFeedForward");
  if (!kernel) return feedForward(x_B1D, weights);
  const [rows, , width] = x_B1D.shape;
  const { kind: _, ...named } = weights;
  const into = "wi" in named ? { wi0: named.wi, wo: named.wo } : named;
  return tf.reshape(kernel({ x: tf.reshape(x_B1D, [rows, width]), ...into })[0], x_B1D.shape);
}
