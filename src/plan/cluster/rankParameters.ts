import { type Mesh, placeOf } from "../../distributed/mesh.js";
import { ownership, ownRows, type RowWise } from "../../distributed/ownership.js";
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
  const held = { dense: 0, experts: 0 };
  for (const [name, shape] of shapes) {
    const { splitByExpert } = placementOf(name);
    held[splitByExpert ? "experts" : "dense"] += sizeOf(shape) / partsOf(name, mesh);
  }
  if (!mesh.zero) return { ...held, updated: held.dense + held.experts, ...stateOf(shapes, mesh, optimizer, () => 1) };
  const at = placeOf(mesh, 0);
  const parts = new Map([...shapes].map(([name, shape]) => [name, partOn(shape, placementOf(name), mesh, at).shape]));
  const owners = ownership(parts, optimizer, mesh);
  const states = [];
  for (let data = 0; data < mesh.data; data++) {
    for (let expert = 0; expert < mesh.expert; expert++) {
      const share = (name: string): number =>
        (ownRows(owners, name, mesh, { data, expert, model: 0 })?.rows ?? 0) / parts.get(name)![0];
      const updated = [...parts].reduce((sum, [name, shape]) => sum + sizeOf(shape) * share(name), 0);
      states.push({ updated, ...stateOf(shapes, mesh, optimizer, share) });
    }
  }
  return {
    ...held,
    updated: Math.max(...states.map(({ updated }) => updated)),
    optimizer: Math.max(...states.map(({ optimizer: moments }) => moments)),
    optimizerSums: states[0].optimizerSums,
  };
}

/** @param share of a rank's part of a parameter that it updates */
function stateOf(
  shapes: ReadonlyMap<string, readonly number[]>,
  mesh: Mesh,
  optimizer: PlannedOptimizer,
  share: (name: string) => number,
): Pick<RankParameters, "optimizer" | "optimizerSums"> {
  const state = { optimizer: 0, optimizerSums: 0 };
  for (const [name, shape] of shapes) {
    const { modelAxis, splitByExpert } = placementOf(name);
    state.optimizer += (share(name) * momentsOf(name, shape, optimizer)) / partsOf(name, mesh);
    if (mesh.model > 1 && modelAxis !== null && optimizer.algorithm === "adafactor") {
      const sums = sumsOf(shape, modelAxis, splitByExpert ? mesh.expert : 1, optimizer.minFactoredSize);
      state.optimizerSums += share(name) * sums;
    }
  }
  return state;
}

/** In how many parts a parameter lies on a mesh. */
function partsOf(name: string, mesh: Mesh): number {
  const { modelAxis, splitByExpert } = placementOf(name);
  return (modelAxis === null ? 1 : mesh.model) * (splitByExpert ? mesh.expert : 1);
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
