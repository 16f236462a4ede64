import * as tf from "@tensorflow/tfjs-core";
import type { AttentionWeights } from "../../ops/attention.js";
import { attendBefore, attendMemory, type KeysAndValues, keysAndValues } from "../../ops/decode/cachedAttention.js";
import { decodeFeedForward } from "../../ops/decode/decodeFeedForward.js";
import { relativePositionBias } from "../../ops/relativePositionBias.js";
import { isSparse, type ModelConfig } from "../config.js";
import { feedForwardName, type Parameters, positionTable } from "../parameters.js";
import { encodeInputs, type Layers, layersOf, matrices, outputLayer } from "../switchT5.js";

// B rows, S source positions, D dModel, L positions so far, A heads · dKv

/**
 * A model that writes its targets token by token: the encoder has run once, keys and values of its output and of what was written so far
 * are kept. Owns tensors: `dispose` frees them.
 */
export interface Decoder {
  /**
   * Reads the next token of each row, and gives what the output layer is applied to for the one after it.
   *
   * @param ids of B rows; the first are T5's start token, the padding id 0
   * @returns [B, D], the caller's to dispose of
   */
  step(ids: Int32Array): tf.Tensor2D;
  /** The output layer, [V, D]: the model's own, not to be disposed of. */
  readonly head_VD: tf.Tensor2D;
  /** Goes on with these rows, each one that there is, any number of times. */
  select(rows: Int32Array): void;
  /** The same where each row is replaced by one of the same source: what was read of the sources stays as it is. */
  reorder(rows: Int32Array): void;
  dispose(): void;
}

/**
 * The configuration that generation computes with: float32, and every token reaches its expert, since which tokens share a batch is chance there
 * and a text's output must not depend on it. An absolute capacity, Transformers' own, is counted within a text and stays.
 */
export function generationConfig(config: ModelConfig): ModelConfig {
  const { switch: sparse } = config;
  const isCounted = sparse && "train" in sparse.capacity;
  return {
    ...config,
    precision: "float32",
    switch: isCounted ? { ...sparse, capacity: { train: 1, evaluation: "none" }, group: "batch" } : sparse,
  };
}

/** The weight of the output layer, [V, D]: the model's own. */
export function headOf({ tieEmbeddings }: ModelConfig, params: Parameters): tf.Tensor2D {
  return params.get(`${tieEmbeddings ? "shared" : "lm_head"}.weight`) as tf.Tensor as tf.Tensor2D;
}

/**
 * Runs the encoder, and takes the decoder to its start.
 *
 * @param inputs ids [B, S], padded with 0 on the right
 */
export function createDecoder(config: ModelConfig, params: Parameters, inputs: tf.Tensor2D): Decoder {
  const layers = (): Layers => layersOf(config, params, { training: false });
  const blocks = Array.from({ length: config.decoderLayers }, (_, block) => block);
  let source_BS!: tf.Tensor2D;
  let memories: KeysAndValues[] = [];
  tf.tidy(() => {
    const encoded = encodeInputs(layers(), inputs);
    source_BS = tf.keep(encoded.source_BS);
    memories = blocks.map((block) => kept(keysAndValues(encoded.encoded_BSD, crossWeights(layers(), block))));
  });
  let caches: KeysAndValues[] = [];
  let length = 0;
  return {
    head_VD: headOf(config, params),
    step(ids) {
      length++;
      const next: KeysAndValues[] = [];
      const hidden_BD = tf.tidy(() => {
        const { hidden_B1D, written } = decodeStep(layers(), ids, { length, source_BS, memories, caches });
        next.push(...written.map(kept));
        return tf.reshape(hidden_B1D, [ids.length, config.dModel]) as tf.Tensor2D;
      });
      free(caches);
      caches = next;
      return hidden_BD;
    },
    select(rows) {
      const [memory, source] = [chosen(memories, rows), tf.tidy(() => tf.gather(source_BS, rows))];
      free(memories);
      source_BS.dispose();
      [memories, source_BS] = [memory, source];
      this.reorder(rows);
    },
    reorder(rows) {
      const next = chosen(caches, rows);
      free(caches);
      caches = next;
    },
    dispose() {
      free(caches);
      free(memories);
      source_BS.dispose();
    },
  };
}

function free(all: readonly KeysAndValues[]): void {
  for (const { keys, values } of all) tf.dispose([keys, values]);
}

/** The same of these rows. */
function chosen(all: readonly KeysAndValues[], rows: Int32Array): KeysAndValues[] {
  const of = (x: tf.Tensor3D): tf.Tensor3D => tf.tidy(() => tf.gather(x, rows));
  return all.map(({ keys, values }) => ({ keys: of(keys), values: of(values) }));
}

/** Where a decoder stands. */
interface DecoderState {
  /** Positions, the one that is read now included. */
  length: number;
  source_BS: tf.Tensor2D;
  /** Of the encoder's output, for each block. */
  memories: readonly KeysAndValues[];
  /** Of the positions before, for each block; empty where there are none. */
  caches: readonly KeysAndValues[];
}

/** One position through the decoder's blocks: those of `switchT5`, with the positions before it out of the cache. */
function decodeStep(
  layers: Layers,
  ids: Int32Array,
  { length, source_BS, memories, caches }: DecoderState,
): { hidden_B1D: tf.Tensor3D; written: KeysAndValues[] } {
  const { config, embed, weight, add, feed } = layers;
  const ids_B1 = tf.tensor2d(ids, [ids.length, 1], "int32");
  const real_B1 = tf.ones<tf.Rank.R2>([ids.length, 1]);
  // One key, at 0, and as many queries as there are positions: distances from −(length − 1) to 0.
  const positionBias = (block: number): tf.Tensor2D =>
    relativePositionBias(weight(positionTable(config, "decoder", block)) as tf.Tensor as tf.Tensor2D, length, 1, {
      ...{ bidirectional: false, buckets: config.relativeBuckets, maxDistance: config.relativeMaxDistance },
    });
  const shared_LH = positionBias(0);
  const written: KeysAndValues[] = [];
  let y_B1D = embed(config.separateInputEmbeddings ? "decoder.embed_tokens" : "shared", ids_B1);
  for (let block = 0; block < config.decoderLayers; block++) {
    const [self, cross, mlp] = [0, 1, 2].map((layer) => `decoder.block.${block}.layer.${layer}`);
    const position_LH = config.relativeBiasPerLayer ? positionBias(block) : shared_LH;
    y_B1D = add(y_B1D, self, (h) => {
      const weights = attentionWeights(layers, `${self}.SelfAttention`);
      const { y_B1D: y, cache } = attendBefore(h, caches[block], weights, config.heads, position_LH);
      written.push(cache);
      return y;
    });
    y_B1D = add(y_B1D, cross, (h) =>
      attendMemory(h, memories[block], crossWeights(layers, block), config.heads, source_BS),
    );
    y_B1D = add(y_B1D, mlp, (h) =>
      isSparse(config, block)
        ? feed(h, mlp, "decoder", block, real_B1)
        : decodeFeedForward(h, matrices(config, weight, `${mlp}.${feedForwardName(config)}`)),
    );
  }
  return { hidden_B1D: outputLayer(layers, y_B1D).hidden_BTD, written };
}

function attentionWeights({ weight }: Layers, name: string): AttentionWeights {
  const [q, k, v, o] = ["q", "k", "v", "o"].map((part) => weight(`${name}.${part}`));
  return { q, k, v, o };
}

function crossWeights(layers: Layers, block: number): AttentionWeights {
  return attentionWeights(layers, `decoder.block.${block}.layer.1.EncDecAttention`);
}

function kept({ keys, values }: KeysAndValues): KeysAndValues {
  return { keys: tf.keep(keys), values: tf.keep(values) };
}
