import type { Part } from "../model/checkpoint/part.js";
import type { Mesh, MeshPlace } from "./mesh.js";

/** Along which axis a parameter is split over the ranks of `model`, null: not at all; and whether over those of `expert`, along its first. */
export interface Placement {
  modelAxis: number | null;
  splitByExpert: boolean;
}

/**
 * How a parameter lies on a mesh. Split over `model` are dFf (rows into a feed-forward layer, columns out of it), heads (rows of q, k and v, columns of
 * o and of the position bias) and the vocabulary (rows); norms and routers are everywhere. The experts of a layer are split over `expert`.
 */
export function placementOf(name: string): Placement {
  const splitByExpert = name.includes(".experts.");
  const stacked = splitByExpert ? 1 : 0;
  const isRows =
    /\.(q|k|v|wi|wi_0|wi_1)\.weight$/.test(name) ||
    /^(shared|lm_head|encoder\.embed_tokens|decoder\.embed_tokens)\.weight$/.test(name);
  const isColumns = /\.(o|wo|relative_attention_bias)\.weight$/.test(name);
  return { modelAxis: isRows ? stacked : isColumns ? stacked + 1 : null, splitByExpert };
}

/** What one rank holds of a parameter, or of a moment of the optimizer whose axes are so split. */
export function partOn(
  shape: readonly number[],
  { modelAxis, splitByExpert }: Placement,
  mesh: Mesh,
  at: MeshPlace,
): Part {
  const part: Part = { begin: shape.map(() => 0), shape: [...shape] };
  const split = (axis: number, parts: number, index: number): void => {
    part.shape[axis] = shape[axis] / parts;
    part.begin[axis] = index * part.shape[axis];
  };
  if (splitByExpert) split(0, mesh.expert, at.expert);
  if (modelAxis !== null) split(modelAxis, mesh.model, at.model);
  return part;
}

/** The shape of what a rank holds a part of. */
export function wholeShape(part: readonly number[], { modelAxis, splitByExpert }: Placement, mesh: Mesh): number[] {
  const whole = [...part];
  if (splitByExpert) whole[0] *= mesh.expert;
  if (modelAxis !== null) whole[modelAxis] *= mesh.model;
  return whole;
}

/**
 * How a moment of the optimizer lies where its parameter does.
 *
 * @param slot `row` and `column` are means over a matrix's columns and rows; all others have the parameter's shape
 * @param rank axes of the parameter
 */
export function momentPlacement({ modelAxis, splitByExpert }: Placement, slot: string, rank: number): Placement {
  if (slot !== "row" && slot !== "column") return { modelAxis, splitByExpert };
  const kept = rank - (slot === "row" ? 2 : 1);
  return { modelAxis: modelAxis === kept ? rank - 2 : null, splitByExpert };
}

/** How many ranks of a mesh have the same part of a gradient when it is summed: all that hold its parameter or, with `zero`, one of them. */
export function copiesOf({ modelAxis, splitByExpert }: Placement, mesh: Mesh): number {
  const alongBatch = mesh.zero ? 1 : mesh.data * (splitByExpert ? 1 : mesh.expert);
  return alongBatch * (modelAxis === null ? mesh.model : 1);
}

/** Whether every rank holds the whole model. */
export function isWhole(mesh: Mesh): boolean {
  return mesh.expert === 1 && mesh.model === 1;
}
