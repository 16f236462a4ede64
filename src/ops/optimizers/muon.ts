import * as tf from "@tensorflow/tfjs-core";
import {
  type OptimizedParameter,
  type OptimizerAlgorithm,
  optimizerAlgorithm,
  scaledGradient,
  type UpdatePlace,
} from "./algorithm.js";

export interface MuonOptions {
  /** Of the gradients' running mean. */
  momentum: number;
  nesterov: boolean;
  /** A matrix shrinks by learning rate · weightDecay in each step. */
  weightDecay: number;
  /**
   * What the learning rate is multiplied by for a matrix [rows, columns]. "match-rms" (Moonlight): 0.2·√max(rows, columns), which
   * gives updates the RMS of AdamW's, so that both can share a learning rate. "original" (Keller Jordan): √max(1, rows / columns).
   */
  scale: "match-rms" | "original";
}

/** A quintic that lifts every singular value in (0, 1] to about 1 in a few iterations (Keller Jordan's coefficients). */
const coefficients = [3.4445, -4.775, 2.0315] as const;
const iterations = 5;
/** Least norm that a momentum is divided by. */
const epsilon = 1e-7;

/**
 * Muon (Jordan et al. 2024): the running mean of gradients of a matrix, with its singular values made about equal by Newton-Schulz
 * iterations, in float32. Only for matrices; each of a stack of experts is one on its own. The arithmetic is PyTorch's, which iterates in bfloat16.
 */
export function muon(options: MuonOptions): OptimizerAlgorithm {
  const { momentum, nesterov, weightDecay, scale } = options;
  return optimizerAlgorithm({
    stateShapes: (shape) => new Map([["momentum", [...shape]]]),
    // Learning rate, the gradients' scale.
    rates: ({ learningRate, gradientScale = 1 }) => Float32Array.of(learningRate, gradientScale),
    reference: (parameter, place) => muonUpdate(parameter, place, options),
    kernel: "TorchMuon",
    attributes: { momentum, nesterov, weightDecay, matchRms: scale === "match-rms" },
  });
}

/** One parameter's step: what the kernel is held to. */
function muonUpdate({ param, gradient, state }: OptimizedParameter, place: UpdatePlace, options: MuonOptions): void {
  const { momentum, nesterov, weightDecay } = options;
  const { learningRate } = place;
  tf.tidy(() => {
    const g = scaledGradient(gradient, place);
    const mean = state.get("momentum")!;
    const mix = (from: tf.Tensor, to: tf.Tensor, share: number): tf.Tensor =>
      tf.add(from, tf.mul(tf.sub(to, from), share));
    mean.assign(mix(mean, g, 1 - momentum));
    const direction = orthogonalized(nesterov ? mix(g, mean, momentum) : mean);
    const decayed = tf.mul(param, 1 - learningRate * weightDecay);
    param.assign(tf.sub(decayed, tf.mul(direction, learningRate * muonScale(param.shape, options.scale))));
  });
}

/** What a matrix's learning rate is multiplied by; see `MuonOptions.scale`. */
function muonScale(shape: readonly number[], scale: MuonOptions["scale"]): number {
  const [rows, columns] = shape.slice(-2);
  return scale === "match-rms" ? 0.2 * Math.sqrt(Math.max(rows, columns)) : Math.sqrt(Math.max(1, rows / columns));
}

/** U·S'·Vᵀ of a matrix U·S·Vᵀ, or of each of a stack, with all of S' between about 0.7 and 1.2. */
function orthogonalized(matrix: tf.Tensor): tf.Tensor {
  const [rows, columns] = matrix.shape.slice(-2);
  // The product of a matrix with its transpose is smallest where the matrix is wide.
  const isTall = rows > columns;
  const turn = (x: tf.Tensor): tf.Tensor => (isTall ? tf.transpose(x, x.rank === 3 ? [0, 2, 1] : [1, 0]) : x);
  const [a, b, c] = coefficients;
  const norm = tf.sqrt(tf.sum(tf.square(matrix), [-2, -1], true));
  let x = turn(tf.div(matrix, tf.maximum(norm, epsilon)));
  for (let i = 0; i < iterations; i++) {
    const gram = tf.matMul(x, x, false, true);
    const polynomial = tf.add(tf.mul(gram, b), tf.mul(tf.matMul(gram, gram), c));
    x = tf.add(tf.mul(x, a), tf.matMul(polynomial, x));
  }
  return turn(x);
}
