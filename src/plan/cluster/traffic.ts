import { type Mesh, meshSize } from "../../distributed/mesh.js";
import type { ModelConfig } from "../../model/config.js";
import { isSparse } from "../../model/config.js";
import type { SequenceLengths } from "../../model/count.js";
import { placesOf, routingGroups } from "../../model/switchFeedForward.js";
import type { Hardware } from "./hardware.js";
import type { RankParameters } from "./rankParameters.js";

/** A collective of every training step. */
export interface Collective {
  what: string;
  kind: "all-reduce" | "reduce" | "broadcast" | "all-to-all";
  /** Processes that take part, and how many ranks apart neighbours are. */
  ranks: number;
  stride: number;
  /** Times a step. */
  times: number;
  /** Of the tensor, on one rank, each time. */
  tensorBytes: number;
  /** That one rank sends, each time: 2(n − 1)/n of the tensor in a ring all-reduce, (n − 1)/n in all others. */
  sentBytes: number;
  /** Whether it runs beside the backward pass. */
  overlaps: boolean;
}

const float32 = 4;
const bfloat16 = 2;
const int32 = 4;

export interface TrafficInput {
  model: ModelConfig;
  mesh: Mesh;
  batchSize: number;
  lengths: SequenceLengths;
  parameters: RankParameters;
  /** Whether products and what is sent between experts are bfloat16. */
  bfloat16Products: boolean;
}

/**
 * Every collective of a training step, with its bytes: what `distributed` and `train` do, in float32 to the byte (`World.traffic` counts it; the
 * optimizer's sums are Adafactor's).
 */
export function stepTraffic(input: TrafficInput): Collective[] {
  const { model, mesh, batchSize, lengths, parameters, bfloat16Products } = input;
  const rows = batchSize / (mesh.data * mesh.expert);
  const bytesPerValue = bfloat16Products ? bfloat16 : float32;
  const collectives: Collective[] = [];
  const add = (one: Omit<Collective, "sentBytes">): void => {
    if (one.ranks < 2 || one.times === 0 || one.tensorBytes === 0) return;
    const share = (one.ranks - 1) / one.ranks;
    collectives.push({ ...one, sentBytes: one.tensorBytes * share * (one.kind === "all-reduce" ? 2 : 1) });
  };
  const batch = { ranks: mesh.data * mesh.expert, stride: mesh.model };
  const split = { kind: "all-reduce" as const, ranks: mesh.model, stride: 1, overlaps: false };
  // Loads of the whole batch are counted in a forward pass of their own (`train/accumulate.ts`).
  const { balance, auxLossWeight = 0, experts = 0 } = model.switch ?? {};
  const forwards = balance === "batch" && auxLossWeight > 0 && batch.ranks > 1 ? 2 : 1;
  const data = { ranks: mesh.data, stride: mesh.model * mesh.expert };
  for (const [what, group, values] of [
    ["what all ranks hold", batch, parameters.dense],
    ["experts", data, parameters.experts],
  ] as const) {
    const one = { ...group, times: 1, tensorBytes: values * float32 };
    // Each rank has the sums of what it updates, and gives the others what came of it.
    add({ ...one, what: `gradients of ${what}`, kind: mesh.zero ? "reduce" : "all-reduce", overlaps: true });
    if (mesh.zero) add({ ...one, what: `updated weights of ${what}`, kind: "broadcast", overlaps: false });
  }
  const whole = mesh.expert === 1 && mesh.model === 1 && !mesh.zero;
  const sparseLayers = [model.encoderLayers, model.decoderLayers].flatMap((layers) =>
    Array.from({ length: layers }, (_, layer) => layer).filter((layer) => isSparse(model, layer)),
  ).length;
  const loads = { ...batch, what: "loads of the whole batch", kind: "all-reduce" as const, overlaps: false };
  add({ ...loads, times: forwards - 1, tensorBytes: sparseLayers * experts * float32 });
  const figures = sparseLayers * (experts + 2);
  add({
    ...batch,
    what: "losses and routing figures",
    kind: "all-reduce",
    times: 1,
    // Loss, cross-entropy, balance and z-loss; whether to stop goes along where nothing else is said among all ranks.
    tensorBytes: (4 + figures + (whole ? 1 : 0)) * float32,
    overlaps: false,
  });
  if (!whole) {
    const all = { kind: "all-reduce" as const, ranks: mesh.data * mesh.expert * mesh.model, stride: 1 };
    add({ ...all, what: "norm of the gradients", times: 1, tensorBytes: 2 * float32, overlaps: false });
  }
  for (const [stack, layers, length] of [
    ["encoder", model.encoderLayers, lengths.inputs],
    ["decoder", model.decoderLayers, lengths.targets],
  ] as const) {
    const tokens = rows * length;
    const sparse = Array.from({ length: layers }, (_, i) => i).filter((i) => isSparse(model, i)).length;
    if (model.switch && sparse > 0) {
      const groups = routingGroups(model.switch.group, rows, length);
      const places = model.switch.experts * groups * placesOf(model.switch, tokens / groups, true);
      const exchange = { kind: "all-to-all" as const, ranks: mesh.expert, stride: mesh.model, overlaps: false };
      add({
        ...exchange,
        what: `tokens to experts and back, ${stack}`,
        // There and back, forward and backward.
        times: 2 * (forwards + 1) * sparse,
        tensorBytes: places * model.dModel * bytesPerValue,
      });
      const counts = model.switch.experts * groups * int32;
      add({ ...exchange, what: `places in use, ${stack}`, times: forwards * sparse, tensorBytes: counts });
      const gates = tokens * (model.switch.topK ?? 1) * float32;
      add({ ...split, what: `gates of split experts, ${stack}`, times: sparse, tensorBytes: gates });
    }
    // One after each split sublayer, and one of its input's gradient (§5.2).
    const sublayers = layers * (stack === "encoder" ? 2 : 3);
    const bytes = tokens * model.dModel * bytesPerValue;
    add({
      ...split,
      what: `activations of split layers, ${stack}`,
      times: (forwards + 1) * sublayers,
      tensorBytes: bytes,
    });
  }
  const memory = rows * lengths.inputs * model.dModel * bytesPerValue;
  add({ ...split, what: "gradient of what the decoder attends to", times: 1, tensorBytes: memory });
  const positions = rows * (lengths.inputs + lengths.targets);
  add({ ...split, what: "embeddings", times: forwards, tensorBytes: positions * model.dModel * float32 });
  const targets = rows * lengths.targets;
  const logits = "gradient and statistics of the output layer";
  add({ ...split, what: logits, times: 1, tensorBytes: targets * (model.dModel + 3) * float32 });
  const means = { ...split, what: "the optimizer's means over split matrices", times: 1 };
  add({ ...means, tensorBytes: parameters.optimizerSums * float32 });
  return collectives;
}

/** Seconds of a collective, by the slowest link that it crosses; a link is the device's own, and shared with nobody. */
export function collectiveSeconds(
  { ranks, stride, sentBytes, times }: Collective,
  { devicesPerNode, nodeGBps, networkGBps, latencyMicroseconds }: Hardware,
): number {
  const leavesNode = ranks * stride > devicesPerNode;
  return times * (sentBytes / ((leavesNode ? networkGBps : nodeGBps) * 1e9) + latencyMicroseconds / 1e6);
}

/** Whether a mesh needs more than one node. */
export function nodesOf(mesh: Mesh, { devicesPerNode }: Hardware): number {
  return Math.ceil(meshSize(mesh) / devicesPerNode);
}
