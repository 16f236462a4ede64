import { fittingMeshes, type Mesh, meshSize } from "../../distributed/mesh.js";
import type { ModelConfig } from "../../model/config.js";
import { isSparse } from "../../model/config.js";
import { countParameters, type SequenceLengths, stepFlops } from "../../model/count.js";
import type { Hardware } from "./hardware.js";
import { type PlannedOptimizer, type RankParameters, rankParameters } from "./rankParameters.js";
import { type Collective, collectiveSeconds, nodesOf, stepTraffic } from "./traffic.js";

export interface ClusterRun {
  model: ModelConfig;
  batchSize: number;
  lengths: SequenceLengths;
  steps: number;
  optimizer: PlannedOptimizer;
}

/** Bytes that one rank needs, by kind. */
export interface RankMemory {
  weights: number;
  gradients: number;
  optimizer: number;
  /** Weights in the products' dtype, where that is bfloat16. */
  copies: number;
  activations: number;
  /** Places of experts, there and back. */
  exchange: number;
  logits: number;
  total: number;
}

export interface ClusterPlan {
  mesh: Mesh;
  hardware: Hardware;
  nodes: number;
  parameters: { total: number; activePerToken: number; rank: RankParameters };
  flopsPerStep: number;
  tokensPerStep: number;
  memory: RankMemory;
  fits: boolean;
  traffic: (Collective & { seconds: number })[];
  /** Whether `seconds.compute` is a rank's whole step as it was timed, the optimizer with it: then `update` is 0. */
  measured: boolean;
  seconds: {
    /** Products by the device's rate, and passes over weights and moments by its memory's. */
    compute: number;
    update: number;
    /** Collectives that nothing hides, and what sticks out of those that run beside the backward pass. */
    exposed: number;
    hidden: number;
    step: number;
  };
  tokensPerSecond: number;
  days: number;
}

const float32 = 4;
const bfloat16 = 2;
/** Logits are made for so many numbers at a time (`ops/linearCrossEntropy.ts`). */
const logitsChunk = 2 ** 26;
/** The backward pass is two of a step's three parts: what can run beside it. */
const backwardShare = 2 / 3;

/**
 * Memory, traffic and time of a run on a mesh of described devices.
 *
 * @param rankSeconds of a rank's step without its peers, where that was timed: it takes the place of what the device's rates say
 */
export function planCluster(run: ClusterRun, mesh: Mesh, hardware: Hardware, rankSeconds?: number): ClusterPlan {
  const { model, batchSize, lengths, steps, optimizer } = run;
  const rank = rankParameters(model, mesh, optimizer);
  const bfloat16Products = model.precision !== "float32";
  const memory = rankMemory(run, mesh, rank, bfloat16Products);
  const flopsPerStep = stepFlops(model, batchSize, lengths).total;
  const tokensPerStep = batchSize * (lengths.inputs + lengths.targets);
  const traffic = stepTraffic({ model, mesh, batchSize, lengths, parameters: rank, bfloat16Products }).map((one) => ({
    ...one,
    seconds: collectiveSeconds(one, hardware),
  }));
  const products = flopsPerStep + emptyPlaceFlops(run);
  const compute = rankSeconds ?? products / meshSize(mesh) / (hardware.teraflops * 1e12 * hardware.efficiency);
  // Weights and gradients are read, weights written; moments are read and written.
  const passes = (float32 * (3 * rank.updated + 2 * rank.optimizer)) / (hardware.memoryGBps * 1e9);
  const update = rankSeconds === undefined ? passes : 0;
  const sum = (overlaps: boolean): number =>
    traffic.filter((one) => one.overlaps === overlaps).reduce((all, { seconds }) => all + seconds, 0);
  const hidden = hardware.overlap ? Math.min(sum(true), backwardShare * compute) : 0;
  const exposed = sum(false) + sum(true) - hidden;
  const step = compute + update + exposed;
  const { total, activePerToken } = countParameters(model);
  return {
    ...{ mesh, hardware, nodes: nodesOf(mesh, hardware), flopsPerStep, tokensPerStep, memory, traffic },
    parameters: { total, activePerToken, rank },
    fits: memory.total <= hardware.memoryGiB * 2 ** 30,
    measured: rankSeconds !== undefined,
    seconds: { compute, update, exposed, hidden, step },
    tokensPerSecond: tokensPerStep / step,
    days: (steps * step) / 86_400,
  };
}

/** Experts multiply all of their places: a capacity above 1 costs products that no token needs. */
function emptyPlaceFlops({ model, batchSize, lengths }: ClusterRun): number {
  if (!model.switch || !("train" in model.switch.capacity)) return 0;
  const sparse = (layers: number): number =>
    Array.from({ length: layers }, (_, i) => i).filter((i) => isSparse(model, i)).length;
  const tokens = lengths.inputs * sparse(model.encoderLayers) + lengths.targets * sparse(model.decoderLayers);
  const layer = 2 * model.dModel * model.dFf * (model.feedForward === "relu" ? 2 : 3);
  return 3 * batchSize * tokens * layer * Math.max(model.switch.capacity.train - 1, 0);
}

function rankMemory(run: ClusterRun, mesh: Mesh, rank: RankParameters, bfloat16Products: boolean): RankMemory {
  const { model, batchSize, lengths } = run;
  const held = rank.dense + rank.experts;
  const bytesPerValue = bfloat16Products ? bfloat16 : float32;
  const rows = batchSize / (mesh.data * mesh.expert);
  const targets = rows * lengths.targets;
  const memory = {
    weights: held * float32,
    gradients: held * bytesPerValue,
    optimizer: rank.optimizer * float32,
    copies: bfloat16Products ? held * bfloat16 : 0,
    activations: rows * activationBytesOfRow(model, lengths, mesh, bytesPerValue),
    exchange: exchangeBytes(run, mesh, bytesPerValue),
    logits: float32 * Math.min(logitsChunk, targets * (model.vocabSize / mesh.model)),
  };
  return { ...memory, total: Object.values(memory).reduce((all, bytes) => all + bytes, 0) };
}

/** What a sequence's forward pass keeps for the backward pass; attention's probabilities are computed again there. */
function activationBytesOfRow(model: ModelConfig, lengths: SequenceLengths, mesh: Mesh, bytesPerValue: number): number {
  const { dModel, dFf, dKv, heads, encoderLayers, decoderLayers } = model;
  const inner = (heads * dKv) / mesh.model;
  const matrices = model.feedForward === "relu" ? 1 : 2;
  const factor = model.switch && "train" in model.switch.capacity ? model.switch.capacity.train : 1;
  // The stream in float32 before each sublayer, and its norm.
  const sublayer = (length: number): number => length * dModel * (float32 + bytesPerValue);
  const attention = (length: number, memory: number): number =>
    sublayer(length) + bytesPerValue * inner * (2 * length + 2 * memory);
  const feedForward = (length: number, layer: number): number => {
    const places = isSparse(model, layer) ? factor : 1;
    return sublayer(length) + (bytesPerValue * length * places * (matrices * dFf)) / mesh.model;
  };
  let bytes = 0;
  for (let layer = 0; layer < encoderLayers; layer++) {
    bytes += attention(lengths.inputs, lengths.inputs) + feedForward(lengths.inputs, layer);
  }
  for (let layer = 0; layer < decoderLayers; layer++) {
    const { inputs, targets } = lengths;
    bytes += attention(targets, targets) + attention(targets, inputs) + feedForward(targets, layer);
  }
  return bytes;
}

/** Tokens in their places, before and after the experts, in one layer. */
function exchangeBytes({ model, batchSize, lengths }: ClusterRun, mesh: Mesh, bytesPerValue: number): number {
  if (!model.switch || !("train" in model.switch.capacity)) return 0;
  const tokens = (batchSize / (mesh.data * mesh.expert)) * lengths.inputs;
  return 2 * tokens * model.switch.capacity.train * model.dModel * bytesPerValue;
}

/**
 * The mesh of so many devices that fits into their memory and takes the shortest step; undefined where none fits.
 *
 * @param zero whether ranks share the optimizer's state on each of them
 */
export function bestMesh(
  run: ClusterRun,
  devices: number,
  hardware: Hardware,
  zero?: Mesh["zero"],
): ClusterPlan | undefined {
  return fittingMeshes(devices, run.model, run.batchSize, zero)
    .map((mesh) => planCluster(run, mesh, hardware))
    .filter(({ fits }) => fits)
    .sort((a, b) => a.seconds.step - b.seconds.step)[0];
}
