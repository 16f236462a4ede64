import * as tf from "@tensorflow/tfjs-core";
import type { ModelConfig } from "./config.js";

/**
 * The weights of a model by Transformers' names, linear weights as [out, in]. The experts of a layer are one stacked variable:
 * `….mlp.experts.wi.weight` [experts, dFf, dModel] (`wi_0` and `wi_1` where gated), `….mlp.experts.wo.weight` [experts, dModel, dFf].
 */
export type Parameters = ReadonlyMap<string, tf.Variable>;

/** Name and shape of every parameter of a configuration, in a fixed order. */
export function parameterShapes(_config: ModelConfig): Map<string, number[]> {
  throw new Error("internal: not written yet");
}

/** Fresh parameters: a pure function of configuration and seed, on any backend. */
export function initParameters(_config: ModelConfig, _seed: number): Parameters {
  return new Map([["x", tf.variable(tf.scalar(0))]]);
}

/** Frees every variable. */
export function disposeParameters(params: Parameters): void {
  for (const variable of params.values()) variable.dispose();
}
