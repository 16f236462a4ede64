import * as tf from "@tensorflow/tfjs-core";
import { usageError } from "../../base/errors.js";
import { type Mesh, type MeshAxis, meshSize, ranksAlong } from "../../distributed/mesh.js";
import { initParts, partOfParameter } from "../../distributed/modelParts.js";
import { type CalledCollective, simulatedWorld } from "../../distributed/simulatedWorld.js";
import { disposeParameters, parameterShapes } from "../../model/parameters.js";
import type { ClusterRun } from "../../plan/cluster/planCluster.js";
import type { Batch } from "../../stream/batch.js";
import { createOptimizer, type OptimizerOptions, optimizerOptions } from "../optimizer.js";
import { createTrainStep } from "../step.js";

/** What a rank is found to hold and to call in one step. */
export interface SimulatedRank {
  rank: number;
  parameters: number;
  /** Bytes of weights and moments. */
  stateBytes: number;
  seconds: number;
  collectives: CalledCollective[];
}

export interface SimulatedWorld {
  mesh: Mesh;
  ranks: SimulatedRank[];
  /** Of this process, after the last rank. */
  peakBytes: number;
}

/**
 * Takes ranks of a mesh one after the other through one training step on the active backend, without peers: real parts of the parameters,
 * the real program, collectives that only say what was called. The values are no training: weights are constants, as fresh ones of the largest
 * models are not drawn in parts.
 *
 * @throws usageError where two ranks do not call the same collectives in the same order
 */
export async function simulateWorld(
  run: ClusterRun,
  mesh: Mesh,
  optimizer: OptimizerOptions,
  ranks: readonly number[] = simulatedRanks(mesh),
): Promise<SimulatedWorld> {
  const results: SimulatedRank[] = [];
  for (const rank of ranks) results.push(await simulateRank(run, mesh, rank, optimizer));
  requireSameCollectives(results, mesh.zero ? (rank, other, axis) => areTogether(mesh, rank, other, axis) : undefined);
  return { mesh, ranks: results, peakBytes: process.resourceUsage().maxRSS * 1024 };
}

/**
 * @param areOneGroup whether collectives of two ranks along an axis must be the same: all where left out. Ranks that update other parameters may differ
 * in what their optimizers sum, but not within a group
 * @throws usageError where two ranks call others, or in another order: each would wait for the other
 */
export function requireSameCollectives(
  [first, ...others]: readonly Pick<SimulatedRank, "rank" | "collectives">[],
  areOneGroup: (rank: number, other: number, axis: CalledCollective["axis"]) => boolean = () => true,
): void {
  for (const { rank, collectives } of others) {
    const [there, here] = [first.collectives, collectives].map((all) =>
      all.filter(({ axis }) => areOneGroup(first.rank, rank, axis)),
    );
    const at = there.findIndex((one, i) => textOf(one) !== textOf(here[i]));
    if (at < 0 && there.length === here.length) continue;
    throw usageError(`ranks ${first.rank} and ${rank} do not call the same collectives`, {
      code: "collectives-differ",
      where: `collective ${at < 0 ? there.length : at}`,
      why: `${textOf(there[at])} there, ${textOf(here[at])} here: a real run would wait for ever`,
    });
  }
}

/** Whether two ranks talk to each other along an axis. */
function areTogether(mesh: Mesh, rank: number, other: number, axis: CalledCollective["axis"]): boolean {
  const axes: MeshAxis[] =
    axis === "all" ? ["data", "expert", "model"] : axis === "batch" ? ["data", "expert"] : [axis];
  return ranksAlong(mesh, axes).some((group) => group.includes(rank) && group.includes(other));
}

/**
 * Seconds of a step of one rank of a mesh, on the active backend and without its peers: the median of three after one that is not timed, of the real
 * program with fresh weights. What the collectives would take comes on top.
 */
export async function timeRank(run: ClusterRun, mesh: Mesh, options: OptimizerOptions): Promise<number> {
  const world = simulatedWorld(mesh, 0, []);
  const params = initParts(run.model, 0, world);
  const optimizer = createOptimizer(params, optimizerOptions(options, run.model), world);
  const trainStep = createTrainStep({ model: run.model, params, optimizer, world, seed: 0, run: "timed" });
  const batch = madeUpBatch(run.batchSize, run.lengths, run.model.vocabSize);
  const times: number[] = [];
  for (let step = 0; step < 4; step++) {
    const start = performance.now();
    const { dispose } = await trainStep(batch, { step, learningRate: 0.001 });
    dispose();
    times.push((performance.now() - start) / 1000);
  }
  optimizer.dispose();
  disposeParameters(params);
  return times.slice(1).toSorted((a, b) => a - b)[1];
}

/** All ranks of a small world, the first and the last of a large one; with `zero` the first one's neighbours too, which share groups with it. */
function simulatedRanks(mesh: Mesh): number[] {
  const size = meshSize(mesh);
  if (size <= 4) return Array.from({ length: size }, (_, rank) => rank);
  const neighbours = mesh.zero ? [1, mesh.model, mesh.model * mesh.expert] : [];
  return [...new Set([0, ...neighbours.filter((rank) => rank < size), size - 1])];
}

async function simulateRank(
  { model, batchSize, lengths }: ClusterRun,
  mesh: Mesh,
  rank: number,
  options: OptimizerOptions,
): Promise<SimulatedRank> {
  const collectives: CalledCollective[] = [];
  const world = simulatedWorld(mesh, rank, collectives);
  const before = tf.memory().numBytes;
  const params = new Map(
    [...parameterShapes(model)].map(([name, shape]) => {
      const part = partOfParameter(name, shape, world);
      return [name, tf.tidy(() => tf.variable(tf.fill(part.shape, 0.01)))];
    }),
  );
  const parameters = [...params.values()].reduce((sum, { size }) => sum + size, 0);
  const optimizer = createOptimizer(params, optimizerOptions(options, model), world);
  const stateBytes = tf.memory().numBytes - before;
  const trainStep = createTrainStep({ model, params, optimizer, world, seed: 0, run: "simulated" });
  const start = performance.now();
  const { dispose } = await trainStep(madeUpBatch(batchSize, lengths, model.vocabSize), { step: 0, learningRate: 0 });
  dispose();
  optimizer.dispose();
  disposeParameters(params);
  return { rank, parameters, stateBytes, seconds: (performance.now() - start) / 1000, collectives };
}

function madeUpBatch(batchSize: number, { inputs, targets }: ClusterRun["lengths"], vocabSize: number): Batch {
  const ids = (length: number): Int32Array =>
    Int32Array.from({ length: batchSize * length }, (_, i) => 3 + ((i * 7919) % (vocabSize - 3)));
  return {
    ...{ batchSize, lengths: { inputs, targets, tokens: inputs }, inputs: ids(inputs), targets: ids(targets) },
    ...{ step: 0, languages: new Int32Array(batchSize) },
  };
}

function textOf(one: CalledCollective | undefined): string {
  return one ? `${one.kind} along ${one.axis} of ${one.shapes.map((shape) => `[${shape}]`).join(" ")}` : "nothing";
}
