import * as tf from "@tensorflow/tfjs-core";
import { type AttentionBias, attention } from "../ops/attention.js";
import { forParts, soloGroup, sumOfParts } from "../ops/distributed/collectives.js";
import { embeddingPart } from "../ops/embedding.js";
import { type FeedForwardWeights, feedForward } from "../ops/feedForward.js";
import type { Dtype } from "../ops/precision.js";
import { type Dropout, dropout, type NoiseKey } from "../ops/random/noise.js";
import { relativePositionBias } from "../ops/relativePositionBias.js";
import { residual } from "../ops/residual.js";
import { rmsNorm, rmsNormOfStream } from "../ops/rmsNorm.js";
import { watchGradient } from "../ops/watchGradient.js";
import { isSparse, type ModelConfig } from "./config.js";
import type { ModelGroups } from "./modelGroups.js";
import { feedForwardName, type Parameters, positionTable, type Stack } from "./parameters.js";
import { type SwitchLayer, type SwitchOutput, switchFeedForward } from "./switchFeedForward.js";

// B batch, S source positions, T target positions, D dModel, H heads, V vocab

/** Ids of a batch, int32, padded with 0 on the right; the model shifts the targets right itself. */
export interface ModelBatch {
  /** [B, S] */
  inputs: tf.Tensor2D;
  /** [B, T] */
  targets: tf.Tensor2D;
  /** Rows hold several examples, each side of one ended by this id; absent: a row is one example. */
  endId?: number;
}

/** @param gradient freed after the call, unless the caller keeps it */
export type OnGradient = (name: string, gradient: tf.Tensor) => void;

/**
 * In training there is noise (jitter, dropout), a function of seed and step (int32 [1]), and the training capacity. `groups`: over whom the
 * model is split; `params` are then this rank's parts (`placement.ts`).
 */
export type Mode = { groups?: ModelGroups } & (
  | {
      training: true;
      seed: number;
      step: tf.Tensor1D;
      globalLoads?: ReadonlyMap<string, tf.Tensor1D>;
      /** Told in the backward pass of each parameter's gradient, by its name, as soon as that is whole. */
      onGradient?: OnGradient;
    }
  | { training: false }
);

export interface Decoded {
  /** What the output layer is applied to, [B, T, D]. */
  hidden_BTD: tf.Tensor3D;
  /** The output layer, [V, D]. */
  head_VD: tf.Tensor2D;
  /** 1 where a target is real, 0 where padding, [B, T]. */
  real_BT: tf.Tensor2D;
  /** One per Switch layer, encoder first. */
  routed: SwitchOutput[];
}

/** The layers of a model, by the names of their weights. Made anew for each pass: `routed` is that pass's. */
export type Layers = ReturnType<typeof layersOf>;

/** What encoder and decoder are made of. */
export function layersOf(config: ModelConfig, params: Parameters, mode: Mode) {
  const routed: SwitchOutput[] = [];
  const { expert = soloGroup, model = soloGroup } = mode.groups ?? {};
  const heads = config.heads / model.size;
  const { onGradient } = mode.training ? mode : {};
  const watched = new Map<string, tf.Tensor>();
  const weight = (layer: string): tf.Tensor => {
    const name = `${layer}.weight`;
    const variable = params.get(name)!;
    if (!onGradient) return variable;
    // The gradient of all uses together: made at the first use, it is the last of them to come back.
    const one = watched.get(name) ?? watchGradient(variable, (gradient) => onGradient(name, gradient));
    watched.set(name, one);
    return one;
  };
  const noiseKey = (kind: string, place: string): NoiseKey | null =>
    mode.training ? { seed: mode.seed, place: `${kind} ${place}`, step: mode.step } : null;
  // What each rank has a part of has noise of its own on each of them.
  const ofPart = (place: string): string => (model.rank === 0 ? place : `${place} ${model.rank}`);
  const dropFrom = (place: string, rate = config.dropout): Dropout | undefined => {
    const key = noiseKey("dropout", place);
    return key && rate > 0 ? { rate, key } : undefined;
  };
  // The residual stream stays float32; sublayers compute in bfloat16 where the configuration says so.
  const dtype: Dtype = config.precision === "float32" ? "float32" : "bfloat16";
  const drop = (x: tf.Tensor3D, place: string, as: Dtype = "float32"): tf.Tensor3D => {
    const spec = dropFrom(place);
    return spec ? dropout(x, spec.rate, spec.key, as) : x;
  };
  /** The last norm of a stack, with its dropout. */
  const finalNorm = (x: tf.Tensor3D, stack: Stack): tf.Tensor3D =>
    drop(rmsNorm(x, weight(`${stack}.final_layer_norm`), config.layerNormEpsilon, dtype), `${stack}.final`, dtype);
  const embed = (table: string, ids: tf.Tensor2D): tf.Tensor3D =>
    embeddingPart(weight(table) as tf.Tensor2D, ids, model) as tf.Tensor3D;
  /** Of self-attention in a block, [2 · length − 1, H] by distance. Blocks that share a table share its bias. */
  const positionBias = (stack: Stack, length: number): ((block: number) => tf.Tensor2D) => {
    const of = (table: string): tf.Tensor2D =>
      relativePositionBias(weight(table) as tf.Tensor2D, length, length, {
        ...{ bidirectional: stack === "encoder", buckets: config.relativeBuckets },
        maxDistance: config.relativeMaxDistance,
      });
    const made = new Map<string, tf.Tensor2D>();
    return (block) => {
      const table = positionTable(config, stack, block);
      if (!made.has(table)) made.set(table, of(table));
      return made.get(table)!;
    };
  };

  /** x + sublayer(norm(x)) */
  const add = (x: tf.Tensor3D, layer: string, sublayer: (h: tf.Tensor3D) => tf.Tensor3D): tf.Tensor3D => {
    const { normal, stream } = rmsNormOfStream(x, weight(`${layer}.layer_norm`), config.layerNormEpsilon, dtype);
    return residual(stream, sublayer(normal), dropFrom(layer), dtype);
  };
  /** @param memory whose gradients are summed by the caller (`forParts`) where it is not `h` */
  const attend = (h: tf.Tensor3D, memory: tf.Tensor3D, layer: string, name: string, bias: AttentionBias) => {
    const [q, k, v, o] = ["q", "k", "v", "o"].map((part) => weight(`${layer}.${name}.${part}`));
    const query = forParts(h, model);
    const from = memory === h ? query : memory;
    return sumOfParts(attention(query, from, { q, k, v, o }, heads, bias, dropFrom(ofPart(`${layer}.probs`))), model);
  };
  const feed = (h: tf.Tensor3D, layer: string, stack: Stack, block: number, real: tf.Tensor2D): tf.Tensor3D => {
    const name = `${layer}.${feedForwardName(config)}`;
    if (!config.switch || !isSparse(config, block)) {
      const dropped = dropFrom(ofPart(`${layer}.hidden`));
      return sumOfParts(feedForward(forParts(h, model), matrices(config, weight, name), dropped), model);
    }
    const switchLayer: SwitchLayer = {
      name: `${stack}.${block}`,
      router: weight(`${name}.router.classifier`),
      globalLoad_E: mode.training ? mode.globalLoads?.get(`${stack}.${block}`) : undefined,
      routerDtype: config.precision === "bfloat16" ? "bfloat16" : "float32",
      experts: matrices(config, weight, `${name}.experts`),
      sharedExpert: config.switch.sharedExpert ? matrices(config, weight, `${name}.shared_expert`) : undefined,
    };
    const out = switchFeedForward(h, switchLayer, real, config.switch, mode.training, {
      jitter: config.switch.jitter > 0 ? noiseKey("jitter", layer) : null,
      inputDropout: dropFrom(`${layer}.router`, config.switch.inputDropout ?? 0),
      sample: config.switch.sample ? (noiseKey("sample", layer) ?? undefined) : undefined,
      expertDropout: dropFrom(ofPart(`${layer}.hidden`), config.switch.expertDropout || config.dropout),
      sharedDropout: dropFrom(ofPart(`${layer}.shared`)),
      groups: { expert, model },
    });
    routed.push(out);
    return out.y_BTD;
  };

  /** What several layers attend to. */
  const remember = (memory: tf.Tensor3D): tf.Tensor3D => forParts(memory, model);
  return { config, routed, weight, finalNorm, drop, embed, positionBias, add, attend, remember, feed };
}

/** The encoder over embedded inputs. @returns [B, S, D] */
function encode(
  layers: Layers,
  sources_BSD: tf.Tensor3D,
  source_BS: tf.Tensor2D,
  segments_BS?: tf.Tensor2D,
): tf.Tensor3D {
  const { config, finalNorm, drop, positionBias, add, attend, feed } = layers;
  const position = positionBias("encoder", source_BS.shape[1]);
  const segments = segments_BS && { queries: segments_BS, keys: segments_BS };
  let x_BSD = drop(sources_BSD, "encoder");
  for (let block = 0; block < config.encoderLayers; block++) {
    const [self, mlp] = [0, 1].map((layer) => `encoder.block.${block}.layer.${layer}`);
    x_BSD = add(x_BSD, self, (h) =>
      attend(h, h, self, "SelfAttention", { position: position(block), real: source_BS, segments }),
    );
    x_BSD = add(x_BSD, mlp, (h) => feed(h, mlp, "encoder", block, source_BS));
  }
  return finalNorm(x_BSD, "encoder");
}

/** The encoder's output for inputs [B, S], and which of them are real [B, S]: what generation starts from. */
export function encodeInputs(
  layers: Layers,
  inputs: tf.Tensor2D,
): { encoded_BSD: tf.Tensor3D; source_BS: tf.Tensor2D } {
  const source_BS = realTokens(inputs);
  const table = layers.config.separateInputEmbeddings ? "encoder.embed_tokens" : "shared";
  return { encoded_BSD: encode(layers, layers.embed(table, inputs), source_BS), source_BS };
}

/**
 * The forward pass of mT5 (T5.1.1: Raffel et al. 2020, Xue et al. 2021 §3.1) and of its Switch twin (Fedus et al. 2022 §2), up to
 * the output layer: encoder over the inputs, decoder over the targets shifted right.
 */
export function switchT5(config: ModelConfig, params: Parameters, batch: ModelBatch, mode: Mode): Decoded {
  const layers = layersOf(config, params, mode);
  const { routed, embed, drop, positionBias, add, attend, remember, feed } = layers;
  const { inputs, targets, endId } = batch;
  const source_BS = realTokens(inputs);
  const [sources_BSD, targets_BTD] = embedBoth(config, embed, inputs, shiftRight(targets, endId));
  const segments =
    endId === undefined ? undefined : { source: segmentsOf(inputs, endId), target: segmentsOf(targets, endId) };
  const encoded_BSD = remember(encode(layers, sources_BSD, source_BS, segments?.source));

  const real_BT = realTokens(targets);
  const position = positionBias("decoder", targets.shape[1]);
  const own = segments && { queries: segments.target, keys: segments.target };
  const other = segments && { queries: segments.target, keys: segments.source };
  let y_BTD = drop(targets_BTD, "decoder");
  for (let block = 0; block < config.decoderLayers; block++) {
    const [self, cross, mlp] = [0, 1, 2].map((layer) => `decoder.block.${block}.layer.${layer}`);
    y_BTD = add(y_BTD, self, (h) =>
      attend(h, h, self, "SelfAttention", { position: position(block), causal: true, segments: own }),
    );
    y_BTD = add(y_BTD, cross, (h) =>
      attend(h, encoded_BSD, cross, "EncDecAttention", { real: source_BS, segments: other }),
    );
    y_BTD = add(y_BTD, mlp, (h) => feed(h, mlp, "decoder", block, real_BT));
  }
  return { ...outputLayer(layers, y_BTD), real_BT, routed };
}

/** What the output layer is applied to, from the decoder's last residual stream, and its weight. */
export function outputLayer(
  { config, finalNorm, weight }: Layers,
  y_BTD: tf.Tensor3D,
): Pick<Decoded, "hidden_BTD" | "head_VD"> {
  const decoded_BTD = finalNorm(y_BTD, "decoder");
  const head_VD = weight(config.tieEmbeddings ? "shared" : "lm_head") as tf.Tensor2D;
  const hidden_BTD = config.tieEmbeddings ? tf.mul(decoded_BTD, config.dModel ** -0.5) : decoded_BTD;
  return { hidden_BTD: hidden_BTD as tf.Tensor3D, head_VD };
}

export function matrices(config: ModelConfig, weight: (name: string) => tf.Tensor, name: string): FeedForwardWeights {
  const wo = weight(`${name}.wo`);
  return config.feedForward === "relu"
    ? { kind: "relu", wi: weight(`${name}.wi`), wo }
    : { kind: "gated-gelu", wi0: weight(`${name}.wi_0`), wi1: weight(`${name}.wi_1`), wo };
}

/** Sources and targets in their tables. A table that both share is asked once: its gradient, as large as itself, is one and not a sum of two. */
function embedBoth(
  config: ModelConfig,
  embed: (table: string, ids: tf.Tensor2D) => tf.Tensor3D,
  sources_BS: tf.Tensor2D,
  targets_BT: tf.Tensor2D,
): tf.Tensor3D[] {
  if (config.separateInputEmbeddings) {
    return [embed("encoder.embed_tokens", sources_BS), embed("decoder.embed_tokens", targets_BT)];
  }
  const both = embed("shared", tf.concat2d([sources_BS, targets_BT], 1));
  return tf.split(both, [sources_BS.shape[1], targets_BT.shape[1]], 1);
}

/** 1 where an id is not padding. */
function realTokens(ids: tf.Tensor2D): tf.Tensor2D {
  return tf.cast(tf.notEqual(ids, 0), "float32");
}

/** T5's decoder starts with the padding id: [0, t₀, t₁, …]; in a packed row at each example. */
function shiftRight(targets: tf.Tensor2D, endId?: number): tf.Tensor2D {
  const [batch, length] = targets.shape;
  const shifted = tf.concat2d([tf.zeros([batch, 1], "int32"), tf.slice2d(targets, [0, 0], [batch, length - 1])], 1);
  return endId === undefined ? shifted : tf.mul(shifted, tf.cast(tf.notEqual(shifted, endId), "int32"));
}

/** Which example of a packed row each position is of: how many have ended before it, [B, T]. */
function segmentsOf(ids: tf.Tensor2D, endId: number): tf.Tensor2D {
  return tf.cumsum(tf.cast(tf.equal(ids, endId), "float32"), 1, true);
}
