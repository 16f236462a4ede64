import type { Mesh } from "../../distributed/mesh.js";
import { placementOf } from "../../distributed/placement.js";
import type { ModelConfig } from "../../model/config.js";
import { hasMuon } from "../../model/parameterKind.js";
import { parameterShapes } from "../../model/parameters.js";
import { adafactorStateShapes } from "../../ops/optimizers/adafactor.js";

/** Numbers of one rank. */
export interface RankParameters {
  /** Held by this rank: dense ones (also routers, norms, embeddings), and experts. */
  dense: number;
  experts: number;
  /** Moments of the optimizer that lie with them. */
  optimizer: number;
  /** Numbers that Adafactor sums over `model` in a step, for its means over matrices that are split. */
  optimizerSums: number;
}

/** Parameters and optimizer state that one rank of a mesh holds. */
export function rankParameters(
  model: ModelConfig,
  mesh: Mesh,
  optimizer: { algorithm: string; minFactoredSize?: number },
): RankParameters {
  const held: RankParameters = { dense: 0, experts: 0, optimizer: 0, optimizerSums: 0 };
  for (const [name, shape] of parameterShapes(model)) {
    const { modelAxis, splitByExpert } = placementOf(name);
    const parts = (modelAxis === null ? 1 : mesh.model) * (splitByExpert ? mesh.expert : 1);
    const size = shape.reduce((product, length) => product * length, 1);
    held[splitByExpert ? "experts" : "dense"] += size / parts;
    held.optimizer += momentsOf(name, shape, optimizer) / parts;
    if (mesh.model > 1 && modelAxis !== null && optimizer.algorithm === "adafactor") {
      held.optimizerSums += sumsOf(shape, modelAxis, splitByExpert ? mesh.expert : 1, optimizer.minFactoredSize);
    }
  }
  return held;
}

/** Of a matrix two sizes; where it is factored also the moment along the axis that is split, and for rows its mean. */
function sumsOf(shape: readonly number[], modelAxis: number, parts: number, minFactoredSize?: number): number {
  const moments = adafactorStateShapes(shape, minFactoredSize);
  const stack = (shape.length === 3 ? shape[0] : 1) / parts;
  const isRows = modelAxis === shape.length - 2;
  const moment = moments.get(isRows ? "column" : "row");
  if (!moment) return 2 * stack;
  const size = moment.reduce((product, length) => product * length, 1) / parts;
  return 2 * stack + size + (isRows ? stack : 0);
}

/** Adafactor keeps a row and a column for each large matrix (T5X), AdamW two numbers for each parameter, Muon one for each of its matrices. */
function momentsOf(
  name: string,
  shape: readonly number[],
  { algorithm, minFactoredSize }: { algorithm: string; minFactoredSize?: number },
): number {
  const size = shape.reduce((product, length) => product * length, 1);
  if (algorithm === "adamw") return 2 * size;
  if (algorithm === "muon") return hasMuon(name, shape.length) ? size : 2 * size;
  const moments = [...adafactorStateShapes(shape, minFactoredSize).values()];
  return moments.reduce((sum, slot) => sum + slot.reduce((product, length) => product * length, 1), 0);
}
