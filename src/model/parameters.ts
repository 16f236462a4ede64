import * as tf from "@tensorflow/tfjs-core";
import { drawNormals } from "../ops/random/normals.js";
import { isSparse, type ModelConfig } from "./config.js";

/**
 * The weights of a model by Transformers' names, linear weights as [out, in]. The experts of a layer are one stacked variable:
 * `….mlp.experts.wi.weight` [experts, dFf, dModel] (`wi_0` and `wi_1` where gated), `….mlp.experts.wo.weight` [experts, dModel, dFf]. The one
 * that all tokens share is `….mlp.shared_expert`.
 */
export type Parameters = ReadonlyMap<string, tf.Variable>;

export type Stack = "encoder" | "decoder";

/** Where a block's feed-forward layer is: `encoder.block.0.layer.1`. */
export function feedForwardLayer(stack: Stack, block: number): string {
  return `${stack}.block.${block}.layer.${stack === "encoder" ? 1 : 2}`;
}

/** The name Transformers gives a feed-forward layer: `DenseReluDense` in its T5 and MT5, `mlp` in its Switch. */
export function feedForwardName(config: ModelConfig): "DenseReluDense" | "mlp" {
  return config.switch ? "mlp" : "DenseReluDense";
}

/** The table of relative positions, [buckets, heads], that self-attention of a block takes: the first block's, or its own (umT5). */
export function positionTable({ relativeBiasPerLayer }: ModelConfig, stack: Stack, block: number): string {
  return `${stack}.block.${relativeBiasPerLayer ? block : 0}.layer.0.SelfAttention.relative_attention_bias`;
}

/** The matrices into a feed-forward layer. */
export function inputMatrices(config: ModelConfig): string[] {
  return config.feedForward === "relu" ? ["wi"] : ["wi_0", "wi_1"];
}

interface ParameterSpec {
  shape: number[];
  /** How the initial values are drawn. */
  draw: "ones" | { normal: number } | { truncated: number } | { locality: number; heads: number };
  /** The parameter whose random numbers it takes, where not its own. */
  randomOf?: string;
  /** Its rows, or its columns where they are fewer, are made orthogonal. */
  orthogonal?: boolean;
}

/** Name and shape of every parameter of a configuration, in a fixed order. */
export function parameterShapes(config: ModelConfig): Map<string, number[]> {
  return new Map([...parameterSpecs(config)].map(([name, { shape }]) => [name, shape]));
}

/** What of a model is drawn. */
export interface DrawOptions {
  /** Takes a name; all parameters where left out. A parameter does not depend on which others are made. */
  wanted?(name: string): boolean;
  /** Of stacks of experts that have a random stream for each of them these alone; all where left out. */
  experts?: { begin: number; count: number };
  /**
   * Numbers of a stack of experts beyond which each expert has a random stream of its own, so that nobody draws others' experts to come to theirs.
   * It is part of what the numbers are.
   */
  largestStream?: number;
}

/** Fresh parameters: a pure function of configuration and seed, on any backend. */
export function initParameters(
  config: ModelConfig,
  seed: number,
  { wanted = () => true, experts, largestStream = 2 ** 30 }: DrawOptions = {},
): Parameters {
  const specs = [...parameterSpecs(config)].filter(([name]) => wanted(name));
  const hasStreams = ({ shape }: ParameterSpec): boolean =>
    shape.length === 3 && tf.util.sizeFromShape(shape) > largestStream;
  const variables = tf.tidy(() => {
    const drawn = drawNormals(
      specs.flatMap(([name, spec]) => {
        const { shape, draw, randomOf } = spec;
        if (draw === "ones" || "locality" in draw) return [];
        const [factor, truncated] = "truncated" in draw ? [draw.truncated, true] : [draw.normal, false];
        const key = [seed, "init", randomOf ?? name];
        if (!hasStreams(spec)) return [{ key, shape, factor, truncated }];
        const { begin, count } = experts ?? { begin: 0, count: shape[0] };
        return Array.from({ length: count }, (_, i) => {
          return { key: [...key, begin + i], shape: shape.slice(1), factor, truncated };
        });
      }),
    );
    return specs.map(([, spec]) => {
      const { shape, draw, orthogonal } = spec;
      if (draw === "ones") return tf.variable(tf.ones(shape));
      if (hasStreams(spec)) return tf.variable(tf.stack(drawn.splice(0, experts?.count ?? shape[0])));
      if ("locality" in draw) return tf.variable(localBias(shape, draw));
      const values = drawn.shift()!;
      return tf.variable(orthogonal ? orthogonalized(values as tf.Tensor2D) : values);
    });
  });
  return new Map(specs.map(([name], i) => [name, variables[i]]));
}

/** Frees every variable. */
export function disposeParameters(params: Parameters): void {
  for (const variable of params.values()) variable.dispose();
}

/**
 * Initialization. "truncated-normal" (Switch paper §2.4): σ = sqrt(scale / fan_in), nothing beyond 2σ. "t5": plain normals with
 * σ = fan_in^−½. In both, q takes a further dKv^−½, since T5 does not scale its scores; the embedding has σ 1 and the router 0.02
 * (T5X); `matchedCrossAttention`, `encoderLocality` and `orthogonalAttention` give small models a start for reading their source (docs/model.md). An untied output layer has σ = dModel^−½, not the 1 of Transformers, with which a fresh model's loss is about 100.
 */
function parameterSpecs(config: ModelConfig): Map<string, ParameterSpec> {
  const { vocabSize, dModel, dKv, dFf, heads, init } = config;
  const inner = heads * dKv;
  const specs = new Map<string, ParameterSpec>();
  const add = (name: string, shape: number[], draw: ParameterSpec["draw"], rest: Partial<ParameterSpec> = {}): void => {
    specs.set(`${name}.weight`, { shape, draw, ...rest });
  };
  const fanIn = (size: number): ParameterSpec["draw"] =>
    init.scheme === "t5" ? { normal: size ** -0.5 } : { truncated: Math.sqrt(init.scale / size) };

  const attention = (name: string, matched?: number): void => {
    const orthogonal = init.orthogonalAttention;
    if (matched === undefined) {
      add(`${name}.q`, [inner, dModel], fanIn(dModel * dKv), { orthogonal });
    } else {
      const draw = scaled(fanIn(dModel), matched * dKv ** -0.5);
      add(`${name}.q`, [inner, dModel], draw, { orthogonal, randomOf: `${name}.k.weight` });
    }
    add(`${name}.k`, [inner, dModel], fanIn(dModel), { orthogonal });
    add(`${name}.v`, [inner, dModel], fanIn(dModel), { orthogonal });
    add(`${name}.o`, [dModel, inner], fanIn(inner), { orthogonal });
  };
  const feedForward = (name: string, stack: number[]): void => {
    for (const wi of inputMatrices(config)) add(`${name}.${wi}`, [...stack, dFf, dModel], fanIn(dModel));
    add(`${name}.wo`, [...stack, dModel, dFf], fanIn(dFf));
  };

  const tables = config.separateInputEmbeddings ? ["encoder.embed_tokens", "decoder.embed_tokens"] : ["shared"];
  for (const table of tables) add(table, [vocabSize, dModel], { normal: 1 });
  for (const stack of ["encoder", "decoder"] as const) {
    const blocks = stack === "encoder" ? config.encoderLayers : config.decoderLayers;
    for (let block = 0; block < blocks; block++) {
      const prefix = `${stack}.block.${block}`;
      attention(`${prefix}.layer.0.SelfAttention`);
      if (block === 0 || config.relativeBiasPerLayer) {
        const table = positionTable(config, stack, block);
        const { encoderLocality: slope } = init;
        const local = stack === "encoder" && slope !== undefined;
        add(table, [config.relativeBuckets, heads], local ? { locality: slope, heads } : fanIn(dModel));
      }
      add(`${prefix}.layer.0.layer_norm`, [dModel], "ones");
      if (stack === "decoder") {
        attention(`${prefix}.layer.1.EncDecAttention`, init.matchedCrossAttention);
        add(`${prefix}.layer.1.layer_norm`, [dModel], "ones");
      }
      const layer = feedForwardLayer(stack, block);
      const name = `${layer}.${feedForwardName(config)}`;
      if (config.switch && isSparse(config, block)) {
        add(`${name}.router.classifier`, [config.switch.experts, dModel], { normal: 0.02 });
        feedForward(`${name}.experts`, [config.switch.experts]);
        if (config.switch.sharedExpert) feedForward(`${name}.shared_expert`, []);
      } else {
        feedForward(name, []);
      }
      add(`${layer}.layer_norm`, [dModel], "ones");
    }
    add(`${stack}.final_layer_norm`, [dModel], "ones");
  }
  if (!config.tieEmbeddings) add("lm_head", [vocabSize, dModel], fanIn(dModel));
  return specs;
}

/** The same distribution times `factor`; the same numbers where the random stream is the same. */
function scaled(draw: ParameterSpec["draw"], factor: number): ParameterSpec["draw"] {
  if (draw === "ones" || "locality" in draw) throw new Error("internal: only what is drawn can be scaled");
  return "normal" in draw ? { normal: draw.normal * factor } : { truncated: draw.truncated * factor };
}

/** Distances from here on are equally far at the start. */
const localReach = 12;

/** A bidirectional position bias [buckets, heads]: the first half of the buckets is one side, the second the other. */
function localBias(shape: number[], { locality, heads }: { locality: number; heads: number }): tf.Tensor {
  const entries = new Float32Array(tf.util.sizeFromShape(shape)).map((_, i) => {
    const [bucket, head] = [Math.floor(i / heads), i % heads];
    return (-locality * Math.min(bucket % (shape[0] / 2), localReach) * (head + 1)) / heads;
  });
  return tf.tensor(entries, shape);
}

/**
 * A matrix whose rows, or columns where they are fewer, are orthogonal and equally long, with the sum of squares of the one given: Gram and Schmidt's
 * method in double precision, so that every backend has the same bits.
 */
function orthogonalized(matrix: tf.Tensor2D): tf.Tensor2D {
  const [rows, columns] = matrix.shape;
  const values = Float64Array.from(matrix.dataSync());
  const byRow = rows <= columns;
  const [count, length] = byRow ? [rows, columns] : [columns, rows];
  const at = (vector: number, i: number): number => (byRow ? vector * columns + i : i * columns + vector);
  const product = (a: number, b: number): number => {
    let sum = 0;
    for (let i = 0; i < length; i++) sum += values[at(a, i)] * values[at(b, i)];
    return sum;
  };
  const wanted = Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / count);
  for (let vector = 0; vector < count; vector++) {
    for (let other = 0; other < vector; other++) {
      const share = product(vector, other) / wanted ** 2;
      for (let i = 0; i < length; i++) values[at(vector, i)] -= share * values[at(other, i)];
    }
    const factor = wanted / Math.sqrt(product(vector, vector));
    for (let i = 0; i < length; i++) values[at(vector, i)] *= factor;
  }
  return tf.tensor2d(Float32Array.from(values), [rows, columns]);
}
