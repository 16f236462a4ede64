import { type Mesh, meshSize } from "../../distributed/mesh.js";
import type { ModelConfig } from "../../model/config.js";
import { isSparse } from "../../model/config.js";
import type { SequenceLengths } from "../../model/count.js";
import type { Hardware } from "./hardware.js";
import type { RankParameters } from "./rankParameters.js";

/** A collective of every training step. */
export interface Collective {
  what: string;
  kind: "all-reduce" | "all-to-all" | "all-gather";
  /** Processes that take part, and how many ranks apart neighbours are. */
  ranks: number;
  stride: number;
  /** Times a step. */
  times: number;
  /** Of the tensor, on one rank, each time. */
  tensorBytes: number;
  /** That one rank sends, each time: 2(n − 1)/n of the tensor in a ring all-reduce, (n − 1)/n in an all-to-all. */
  sentBytes: number;
  /** Whether it runs beside the backward pass. */
  overlaps: boolean;
}

const float32 = 4;
const bfloat16 = 2;

export interface TrafficInput {
  model: ModelConfig;
  mesh: Mesh;
  batchSize: number;
  lengths: SequenceLengths;
  parameters: RankParameters;
  /** Whether products and what is sent between experts are bfloat16. */
  bfloat16Products: boolean;
}

/** Every collective of a step, with its bytes. */
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
  const gradients = { kind: "all-reduce" as const, times: 1, overlaps: true };
  add({
    ...gradients,
    what: "gradients of what all ranks hold",
    ranks: mesh.data * mesh.expert,
    stride: mesh.model,
    tensorBytes: parameters.dense * float32,
  });
  add({
    ...gradients,
    what: "gradients of experts",
    ranks: mesh.data,
    stride: mesh.model * mesh.expert,
    tensorBytes: parameters.experts * float32,
  });
  for (const [stack, layers, tokens] of [
    ["encoder", model.encoderLayers, rows * lengths.inputs],
    ["decoder", model.decoderLayers, rows * lengths.targets],
  ] as const) {
    const sparse = Array.from({ length: layers }, (_, i) => i).filter((i) => isSparse(model, i)).length;
    const factor = model.switch && "train" in model.switch.capacity ? model.switch.capacity.train : 1;
    add({
      what: `tokens to experts and back, ${stack}`,
      kind: "all-to-all",
      ranks: mesh.expert,
      stride: mesh.model,
      // There and back, forward and backward.
      times: 4 * sparse,
      tensorBytes: tokens * factor * model.dModel * bytesPerValue,
      overlaps: false,
    });
    const sublayers = layers * (stack === "encoder" ? 2 : 3);
    add({
      what: `activations of split layers, ${stack}`,
      kind: "all-reduce",
      ranks: mesh.model,
      stride: 1,
      // One after each split sublayer, and one of its input's gradient (§5.2).
      times: 2 * sublayers,
      tensorBytes: tokens * model.dModel * bytesPerValue,
      overlaps: false,
    });
  }
  add({
    what: "embeddings and statistics of the output layer",
    kind: "all-reduce",
    ranks: mesh.model,
    stride: 1,
    times: 2,
    tensorBytes: rows * (lengths.inputs + lengths.targets) * model.dModel * float32,
    overlaps: false,
  });
  return collectives;
}

/** Seconds of a collective, by the slowest link that it crosses; a link is the device's own, and shared with nobody. */
export function collectiveSeconds(
  { ranks, stride, sentBytes, times }: Collective,
  { devicesPerNode, nodeGBps, networkGBps }: Hardware,
): number {
  const leavesNode = ranks * stride > devicesPerNode;
  return (times * sentBytes) / ((leavesNode ? networkGBps : nodeGBps) * 1e9);
}

/** Whether a mesh needs more than one node. */
export function nodesOf(mesh: Mesh, { devicesPerNode }: Hardware): number {
  return Math.ceil(meshSize(mesh) / devicesPerNode);
}
