import { isSparse, type ModelConfig } from "./config.js";
import { parameterShapes } from "./parameters.js";

export interface ParameterCount {
  total: number;
  /** Input and output embeddings. */
  embedding: number;
  /** What a token passes through besides the embeddings: of each Switch layer `topK` experts and the shared one. */
  activePerToken: number;
}

/** Exact numbers of parameters. */
export function countParameters(config: ModelConfig): ParameterCount {
  const count: ParameterCount = { total: 0, embedding: 0, activePerToken: 0 };
  for (const [name, shape] of parameterShapes(config)) {
    const size = shape.reduce((product, length) => product * length, 1);
    count.total += size;
    if (/^(shared|lm_head|encoder\.embed_tokens|decoder\.embed_tokens)\.weight$/.test(name)) count.embedding += size;
    else count.activePerToken += name.includes(".experts.") ? (size / shape[0]) * (config.switch?.topK ?? 1) : size;
  }
  return count;
}

/** Tokens of one sequence. */
export interface SequenceLengths {
  inputs: number;
  targets: number;
}

export interface Flops {
  total: number;
  /** The part a dense twin does not have. */
  router: number;
}

/**
 * Multiplications and additions of the matrix products of one sequence's forward pass, two for each pair. Each token counts for its
 * `topK` experts and the shared one, as if none were dropped and no slot were empty.
 */
export function forwardFlops(config: ModelConfig, lengths: SequenceLengths): Flops {
  const { products, mixing, crossMemory, router } = flopParts(config, lengths);
  return { total: products + mixing + crossMemory + router, router };
}

/**
 * The same as the Switch paper's Table 9 counts it, to put beside its figures (124B, 425B, 6.3T for its dense models at 512 inputs
 * and 114 targets, met within 2 %): a stack's weights times the stack's own tokens, though cross-attention's keys and values are
 * made of every input, and one of attention's two products of tokens with tokens. 10 to 12 % below `forwardFlops` there.
 */
export function publishedForwardFlops(config: ModelConfig, lengths: SequenceLengths): number {
  const { products, mixing, crossMemory } = flopParts(config, lengths);
  return products + mixing / 2 + crossMemory * (lengths.targets / lengths.inputs);
}

/** products: weights with tokens. mixing: tokens with tokens. crossMemory: keys and values of the encoder's output. */
function flopParts(config: ModelConfig, { inputs, targets }: SequenceLengths) {
  const { dModel, dFf, encoderLayers, decoderLayers } = config;
  const inner = config.heads * config.dKv;
  const projection = 2 * dModel * inner;
  const feedForward = 2 * dModel * dFf * (config.feedForward === "relu" ? 2 : 3);
  const encoder = inputs * (4 * projection + feedForward);
  const decoder = targets * (6 * projection + feedForward);
  const pairs = encoderLayers * inputs * inputs + decoderLayers * targets * (targets + inputs);
  const sparse = (layers: number): number =>
    Array.from({ length: layers }, (_, i) => i).filter((i) => isSparse(config, i)).length;
  const layersOfToken = (config.switch?.topK ?? 1) + (config.switch?.sharedExpert ? 1 : 0);
  const sparseTokens = inputs * sparse(encoderLayers) + targets * sparse(decoderLayers);
  return {
    products:
      encoderLayers * encoder +
      decoderLayers * decoder +
      (layersOfToken - 1) * feedForward * sparseTokens +
      2 * targets * dModel * config.vocabSize,
    mixing: 2 * 2 * pairs * inner,
    crossMemory: decoderLayers * 2 * inputs * projection,
    router: 2 * dModel * (config.switch?.experts ?? 0) * sparseTokens,
  };
}

/** Of one optimizer step over a batch: the backward pass takes two products for each of the forward pass. */
export function stepFlops(config: ModelConfig, batchSize: number, lengths: SequenceLengths): Flops {
  const { total, router } = forwardFlops(config, lengths);
  return { total: 3 * batchSize * total, router: 3 * batchSize * router };
}
