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
}

/** Parameters and optimizer state that one rank of a mesh holds. */
export function rankParameters(
  model: ModelConfig,
  mesh: Mesh,
  optimizer: { algorithm: string; minFactoredSize?: number },
): RankParameters {
  const held: RankParameters = { dense: 0, experts: 0, optimizer: 0 };
  for (const [name, shape] of parameterShapes(model)) {
    const { modelAxis, splitByExpert } = placementOf(name);
    const parts = (modelAxis === null ? 1 : mesh.model) * (splitByExpert ? mesh.expert : 1);
    const size = shape.reduce((product, length) => product * length, 1);
    held[splitByExpert ? "experts" : "dense"] += size / parts;
    held.optimizer += momentsOf(name, shape, optimizer) / parts;
  }
  return held;
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
