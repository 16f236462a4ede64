import type { ModelConfig } from "../../model/config.js";
import { hasMuon } from "../../model/parameterKind.js";
import { parameterShapes } from "../../model/parameters.js";
import { adafactorStateShapes } from "../../ops/optimizers/adafactor.js";
import type { Mesh } from "./mesh.js";

/** How a parameter lies on a mesh: whether its first (or last) dimension is split over `model`, and its experts over `expert`. */
export interface Placement {
  splitByModel: boolean;
  splitByExpert: boolean;
}

/** Feed-forward matrices, projections of the heads and the vocabulary are split; norms, routers and position biases are everywhere. */
export function placementOf(name: string): Placement {
  const splitByExpert = name.includes(".experts.");
  const splitByModel =
    splitByExpert ||
    /\.(q|k|v|o|wi|wi_0|wi_1|wo)\.weight$/.test(name) ||
    /^(shared|lm_head|encoder\.embed_tokens|decoder\.embed_tokens)\.weight$/.test(name);
  return { splitByModel, splitByExpert };
}

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
    const { splitByModel, splitByExpert } = placementOf(name);
    const parts = (splitByModel ? mesh.model : 1) * (splitByExpert ? mesh.expert : 1);
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
