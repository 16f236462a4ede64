import * as tf from "@tensorflow/tfjs-core";
import { type RandomStream, randomStream } from "../base/random.js";
import { isSparse, type ModelConfig } from "./config.js";

/**
 * The weights of a model by Transformers' names, linear weights as [out, in]. The experts of a layer are one stacked variable:
 * `….mlp.experts.wi.weight` [experts, dFf, dModel] (`wi_0` and `wi_1` where gated), `….mlp.experts.wo.weight` [experts, dModel, dFf].
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
}

/** Name and shape of every parameter of a configuration, in a fixed order. */
export function parameterShapes(config: ModelConfig): Map<string, number[]> {
  return new Map([...parameterSpecs(config)].map(([name, { shape }]) => [name, shape]));
}

/**
 * Fresh parameters: a pure function of configuration and seed, on any backend.
 *
 * @param wanted takes a name; all parameters where left out. A parameter does not depend on which others are made
 */
export function initParameters(config: ModelConfig, seed: number, wanted = (_: string) => true): Parameters {
  const params = new Map<string, tf.Variable>();
  for (const [name, spec] of parameterSpecs(config)) {
    if (!wanted(name)) continue;
    const values = drawValues(spec, randomStream(seed, "init", spec.randomOf ?? name));
    params.set(
      name,
      tf.tidy(() => tf.variable(tf.tensor(values, spec.shape))),
    );
  }
  return params;
}

/** Frees every variable. */
export function disposeParameters(params: Parameters): void {
  for (const variable of params.values()) variable.dispose();
}

/**
 * Initialization. "truncated-normal" (Switch paper §2.4): σ = sqrt(scale / fan_in), nothing beyond 2σ. "t5": plain normals with
 * σ = fan_in^−½. In both, q takes a further dKv^−½, since T5 does not scale its scores; the embedding has σ 1 and the router 0.02
 * (T5X); `matchedCrossAttention` and `encoderLocality` give small models a start for reading their source (docs/model.md). An untied output layer has σ = dModel^−½, not the 1 of Transformers, with which a fresh model's loss is about 100.
 */
function parameterSpecs(config: ModelConfig): Map<string, ParameterSpec> {
  const { vocabSize, dModel, dKv, dFf, heads, init } = config;
  const inner = heads * dKv;
  const specs = new Map<string, ParameterSpec>();
  const add = (name: string, shape: number[], draw: ParameterSpec["draw"], randomOf?: string): void => {
    specs.set(`${name}.weight`, { shape, draw, ...(randomOf ? { randomOf: `${randomOf}.weight` } : {}) });
  };
  const fanIn = (size: number): ParameterSpec["draw"] =>
    init.scheme === "t5" ? { normal: size ** -0.5 } : { truncated: Math.sqrt(init.scale / size) };

  const attention = (name: string, matched?: number): void => {
    if (matched === undefined) add(`${name}.q`, [inner, dModel], fanIn(dModel * dKv));
    else add(`${name}.q`, [inner, dModel], scaled(fanIn(dModel), matched * dKv ** -0.5), `${name}.k`);
    add(`${name}.k`, [inner, dModel], fanIn(dModel));
    add(`${name}.v`, [inner, dModel], fanIn(dModel));
    add(`${name}.o`, [dModel, inner], fanIn(inner));
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
      if (block === 0) {
        const table = `${prefix}.layer.0.SelfAttention.relative_attention_bias`;
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

/** Entry `index` of a bidirectional position bias [buckets, heads]: the first half of the buckets is one side, the second the other. */
function localBias(index: number, buckets: number, { locality, heads }: { locality: number; heads: number }): number {
  const [bucket, head] = [Math.floor(index / heads), index % heads];
  return (-locality * Math.min(bucket % (buckets / 2), localReach) * (head + 1)) / heads;
}

function drawValues({ shape, draw }: ParameterSpec, random: RandomStream): Float32Array {
  const values = new Float32Array(tf.util.sizeFromShape(shape));
  if (draw === "ones") return values.fill(1);
  if ("locality" in draw) return values.map((_, i) => localBias(i, shape[0], draw));
  for (let i = 0; i < values.length; i++) {
    let z = random.normal();
    if ("truncated" in draw) while (Math.abs(z) > 2) z = random.normal();
    values[i] = z * ("truncated" in draw ? draw.truncated : draw.normal);
  }
  return values;
}
