// The models, batches and matrix products that bench/train.mjs times.
import { preset, switchTwin } from "../../dist/model/presets.js";

/**
 * Shapes of models and batches. mT5's pre-training lengths: 512 tokens become 114 targets once spans are cut out. `small` is preset tiny,
 * where a step is many small operations.
 */
export const shapes = {
  "mt5-small": { preset: "mt5-small", lengths: { inputs: 512, targets: 114 }, batch: 8, vocab: 32128, every: 2 },
  small: { preset: "tiny", lengths: { inputs: 64, targets: 17 }, batch: 128, vocab: 6144, every: 1 },
};
/** wasm takes minutes for a step of 8 sequences, and 2 do not fit its 4 GiB, so it gets 1; throughput is per token on both sides. */
export const tfjsBatchSize = 1;

export const configNames = ["dense", "switch8", "switch16", "switch32", "switch128"];

/**
 * A shape's dense model, or its Switch twin of `switchN`. `asTransformers`: with the ReLU feed-forward layers of
 * SwitchTransformersForConditionalGeneration, which has no gated ones, so that both sides have the same matrices.
 */
export function modelConfig(name, { shape, vocab, precision, asTransformers = false }) {
  const { preset: presetName, every } = shapes[shape];
  const dense = { ...preset(presetName), vocabSize: vocab, precision };
  if (name === "dense") return dense;
  const experts = Number(/^switch(\d+)$/.exec(name)?.[1]);
  if (!experts) throw new Error(`unknown --config ${name}: there are ${configNames.join(", ")}`);
  const twin = switchTwin(dense, { experts, every, group: "batch", capacity: { train: 1.25, evaluation: 2 } });
  return asTransformers ? { ...twin, feedForward: "relu" } : twin;
}

/** Positions of encoder and decoder that one step trains on. */
export function tokensPerStep({ lengths }, batch) {
  return batch * (lengths.inputs + lengths.targets);
}

/**
 * The matrix products of one training step as { batch, m, k, n, count, kind }: x [m, k] with a weight [n, k] (`linear`), or two
 * batches of matrices (`mixing`). Experts compute over their whole capacity, empty slots included.
 */
export function stepProducts(config, lengths, batch) {
  const { dModel, dFf, heads, dKv, vocabSize } = config;
  const inner = heads * dKv;
  const source = batch * lengths.inputs;
  const target = batch * lengths.targets;
  const ins = config.feedForward === "relu" ? 1 : 2;
  const products = [];
  const linear = (m, k, n, count, stack = 1) => products.push({ kind: "linear", batch: stack, m, k, n, count });
  const mixing = (m, k, n, count) => products.push({ kind: "mixing", batch: batch * heads, m, k, n, count });
  const scores = (queries, keys, count) => {
    mixing(queries, dKv, keys, count);
    mixing(queries, keys, dKv, count);
  };
  const feedForward = (tokens, layers) => {
    const sparse = config.switch ? Math.floor(layers / config.switch.every) : 0;
    const dense = layers - sparse;
    linear(tokens, dModel, dFf, ins * dense);
    linear(tokens, dFf, dModel, dense);
    if (sparse === 0) return;
    const { experts, capacity } = config.switch;
    const slots = Math.max(Math.floor((capacity.train * tokens) / experts), 4);
    linear(slots, dModel, dFf, ins * sparse, experts);
    linear(slots, dFf, dModel, sparse, experts);
    linear(tokens, dModel, experts, sparse);
  };
  const { encoderLayers, decoderLayers } = config;
  linear(source, dModel, inner, 3 * encoderLayers);
  linear(source, inner, dModel, encoderLayers);
  scores(lengths.inputs, lengths.inputs, encoderLayers);
  feedForward(source, encoderLayers);
  linear(target, dModel, inner, 4 * decoderLayers);
  linear(source, dModel, inner, 2 * decoderLayers);
  linear(target, inner, dModel, 2 * decoderLayers);
  scores(lengths.targets, lengths.targets, decoderLayers);
  scores(lengths.targets, lengths.inputs, decoderLayers);
  feedForward(target, decoderLayers);
  linear(target, dModel, vocabSize, 1);
  return products;
}
