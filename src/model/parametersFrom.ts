import * as tf from "@tensorflow/tfjs-core";
import { MswitchError } from "../base/errors.js";
import type { ModelConfig } from "./config.js";
import { initParameters, type Parameters, parameterShapes } from "./parameters.js";

export interface StartedParameters {
  params: Parameters;
  /** Names of the parameters that the source has not: drawn afresh. */
  fresh: string[];
  /** Names of those that are copies of one dense feed-forward layer for each expert. */
  upcycled: string[];
}

/**
 * A model's parameters from those of another model of the same shape but for its feed-forward layers and the rows of its vocabulary:
 *
 * - dense into Switch: every expert, the shared one too, is a copy of the dense layer in its place ("sparse upcycling"), the router is fresh;
 * - Switch into dense: all but the experts; the layers in their place are the shared experts, or fresh;
 * - tables with other rows: as `rows` says.
 *
 * The source's variables become the model's, or are freed.
 *
 * @param seed of what is fresh
 * @param rows for each row of the model's vocabulary the source's row with the same piece, −1 where there is none; undefined: the same rows
 * @throws MswitchError naming the parameter that does not fit
 */
export function parametersFrom(
  source: Parameters,
  config: ModelConfig,
  seed: number,
  rows?: Int32Array,
): StartedParameters {
  const params = new Map<string, tf.Variable>();
  const [fresh, upcycled]: string[][] = [[], []];
  const shapes = parameterShapes(config);
  const used = new Set<tf.Variable>();
  for (const [name, shape] of shapes) {
    const found = sourceOf(name, source);
    if (!found) {
      if (!isSparsePart(name)) throw mismatch(name, "the source has none of this name");
      fresh.push(name);
      params.set(name, initParameters(config, seed, { wanted: (one) => one === name }).get(name)!);
      continue;
    }
    const isTable = rows !== undefined && shape.length === 2 && shape[0] === config.vocabSize && isVocabulary(name);
    const isExpert = name.includes(".experts.") && found.rank === shape.length - 1;
    if (isExpert) upcycled.push(name);
    const value = tf.tidy(() => {
      if (isTable) return tf.variable(withRows(found, rows, config, seed, name));
      if (isExpert) return tf.variable(tf.tile(tf.expandDims(found, 0), [shape[0], ...found.shape.map(() => 1)]));
      // A variable is updated in place: what serves twice is copied.
      return used.has(found) ? tf.variable(tf.mul(found, 1)) : found;
    });
    if (value === found) used.add(found);
    if (value.shape.join() !== shape.join()) {
      throw mismatch(name, `it is [${value.shape.join(", ")}] in the source and [${shape.join(", ")}] in the model`);
    }
    params.set(name, value);
  }
  for (const variable of source.values()) if (!used.has(variable)) variable.dispose();
  return { params, fresh, upcycled };
}

/** The source's parameter for one of the model's; undefined where it has none. */
function sourceOf(name: string, source: Parameters): tf.Variable | undefined {
  const inSwitch = name.replace(/\.mlp\.(experts|shared_expert)\./, ".mlp.");
  const candidates = [
    name,
    // A dense layer of a Switch is called as its sparse ones are.
    name.replace(".DenseReluDense.", ".mlp."),
    inSwitch,
    inSwitch.replace(".mlp.", ".DenseReluDense."),
    // A Switch layer in place of a dense one: what its tokens share.
    name.replace(/\.(mlp|DenseReluDense)\.(wi|wi_0|wi_1|wo)\./, ".mlp.shared_expert.$2."),
    // One table for both stacks.
    ...(/^(encoder|decoder)\.embed_tokens\.weight$/.test(name) ? ["shared.weight"] : []),
  ];
  const found = candidates.find((candidate) => source.has(candidate));
  return found === undefined ? undefined : source.get(found);
}

/** What only one of a dense model and its Switch twin has. */
function isSparsePart(name: string): boolean {
  return /\.(mlp|DenseReluDense)\./.test(name);
}

function isVocabulary(name: string): boolean {
  return /^(shared|lm_head|encoder\.embed_tokens|decoder\.embed_tokens)\.weight$/.test(name);
}

/** A table of the model's rows: the source's where `rows` names one, drawn afresh elsewhere. */
function withRows(table: tf.Tensor, rows: Int32Array, config: ModelConfig, seed: number, name: string): tf.Tensor {
  const known = tf.gather(
    table,
    tf.tensor1d(
      rows.map((row) => Math.max(row, 0)),
      "int32",
    ),
  );
  if (!rows.includes(-1)) return known;
  const drawn = initParameters(config, seed, { wanted: (one) => one === name }).get(name)!;
  const isNew = tf.expandDims(
    tf.tensor1d(
      Array.from(rows, (row) => row < 0),
      "bool",
    ),
    1,
  );
  const value = tf.where(tf.tile(isNew, [1, config.dModel]), drawn, known);
  drawn.dispose();
  return value;
}

function mismatch(name: string, why: string): MswitchError {
  return new MswitchError(`the model cannot start from these weights: ${name} does not fit`, {
    code: "init-model-mismatch",
    why,
    hint: "leave model's shape out of the run's file: it is then the source's",
  });
}
