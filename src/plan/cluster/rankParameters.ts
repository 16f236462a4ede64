import { type Mesh, placeOf } from "../../distributed/mesh.js";
import { ownership, type RowWise } from "../../distributed/ownership.js";
import { partOn, placementOf } from "../../distributed/placement.js";
import type { ModelConfig } from "../../model/config.js";
import { hasMuon } from "../../model/parameterKind.js";
import { parameterShapes } from "../../model/parameters.js";
import { adafactorStateShapes } from "../../ops/optimizers/adafactor.js";

/** Numbers of one rank. */
export interface RankParameters {
  /** Held by this rank: dense ones (also routers, norms, embeddings), and experts. */
  dense: number;
  experts: number;
  /** Those that it updates: all, or what it owns where ranks share the optimizer's state. */
  updated: number;
  /** Moments of the optimizer that lie with these. */
  optimizer: number;
  /** Numbers that Adafactor sums over `model` in a step, for its means over matrices that are split. */
  optimizerSums: number;
}

export interface PlannedOptimizer extends RowWise {
  minFactoredSize?: number;
}

/**
 * Parameters and optimizer state that one rank of a mesh holds. Where ranks share the optimizer's state: the most that one of them has of it, and the
 * first one's sums.
 */
export function rankParameters(model: ModelConfig, mesh: Mesh, optimizer: PlannedOptimizer): RankParameters {
  const shapes = parameterShapes(model);
  const at = placeOf(mesh, 0);
  const parts = new Map([...shapes].map(([name, shape]) => [name, partOn(shape, placementOf(name), mesh, at).shape]));
  const owners = mesh.zero ? ownership(parts, optimizer, mesh) : undefined;
  const [data, expert] = mesh.zero ? [mesh.data, mesh.expert] : [1, 1];
  const none = () => ({ updated: 0, optimizer: 0, optimizerSums: 0 });
  const ofDense = Array.from({ length: data * expert }, none);
  const ofExperts = Array.from({ length: data }, none);
  const held = { dense: 0, experts: 0 };
  for (const [name, shape] of shapes) {
    const { modelAxis, splitByExpert } = placementOf(name);
    const part = parts.get(name)!;
    const size = sizeOf(part);
    held[splitByExpert ? "experts" : "dense"] += size;
    const moments = (momentsOf(name, shape, optimizer) * size) / sizeOf(shape);
    const hasSums = mesh.model > 1 && modelAxis !== null && optimizer.algorithm === "adafactor";
    const sums = hasSums ? sumsOf(shape, modelAxis, splitByExpert ? mesh.expert : 1, optimizer.minFactoredSize) : 0;
    for (const { owner, rows } of owners?.get(name) ?? [{ owner: 0, rows: part[0] }]) {
      const state = (splitByExpert ? ofExperts : ofDense)[owner];
      const share = rows / part[0];
      state.updated += share * size;
      state.optimizer += share * moments;
      state.optimizerSums += share * sums;
    }
  }
  const most = (key: "updated" | "optimizer"): number =>
    Math.max(...ofDense.map((dense, i) => dense[key] + ofExperts[Math.floor(i / expert)][key]));
  return {
    ...held,
    updated: most("updated"),
    optimizer: most("optimizer"),
    optimizerSums: ofDense[0].optimizerSums + ofExperts[0].optimizerSums,
  };
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

/** Of a matrix two sizes; where it is factored also the moment along the axis that is split, and for rows its mean. */
function sumsOf(shape: readonly number[], modelAxis: number, parts: number, minFactoredSize?: number): number {
  const moments = adafactorStateShapes(shape, minFactoredSize);
  const stack = (shape.length === 3 ? shape[0] : 1) / parts;
  const isRows = modelAxis === shape.length - 2;
  const moment = moments.get(isRows ? "column" : "row");
  if (!moment) return 2 * stack;
  const size = sizeOf(moment) / parts;
  return 2 * stack + size + (isRows ? stack : 0);
}

/** Adafactor keeps a row and a column for each large matrix (T5X), AdamW two numbers for each parameter, Muon one for each of its matrices. */
function momentsOf(name: string, shape: readonly number[], { algorithm, minFactoredSize }: PlannedOptimizer): number {
  const size = sizeOf(shape);
  if (algorithm === "adamw") return 2 * size;
  if (algorithm === "muon") return hasMuon(name, shape.length) ? size : 2 * size;
  const moments = [...adafactorStateShapes(shape, minFactoredSize).values()];
  return moments.reduce((sum, slot) => sum + sizeOf(slot), 0);
}
