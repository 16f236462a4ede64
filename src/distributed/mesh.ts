import { usageError } from "../base/errors.js";
import type { ModelConfig } from "../model/config.js";

/**
 * How processes share a run (Switch Transformers §5). The batch is split over `data` × `expert` ranks, the experts of each layer over `expert`
 * ranks, feed-forward layers, heads and vocabulary over `model` ranks. Neighbouring ranks differ in `model` first, then in `expert`.
 */
export interface Mesh extends Record<MeshAxis, number> {
  /** 1: ranks that hold the same parameters share their optimizer's state (ZeRO stage 1, `ownership.ts`); 0 where left out. */
  zero?: 0 | 1;
}

export type MeshAxis = "data" | "expert" | "model";

/** Where a rank stands on each axis, from 0. */
export type MeshPlace = Record<MeshAxis, number>;

export const soloMesh: Mesh = { data: 1, expert: 1, model: 1 };

export function meshSize({ data, expert, model }: Mesh): number {
  return data * expert * model;
}

/** Where a rank stands. */
export function placeOf({ expert, model }: Mesh, rank: number): MeshPlace {
  const batch = Math.floor(rank / model);
  return { data: Math.floor(batch / expert), expert: batch % expert, model: rank % model };
}

/**
 * The groups of ranks that stand at the same place but for some axes: all groups, each in order of rank.
 *
 * @param axes along which the ranks of a group differ
 */
export function ranksAlong(mesh: Mesh, axes: readonly MeshAxis[]): number[][] {
  const groups = new Map<string, number[]>();
  for (let rank = 0; rank < meshSize(mesh); rank++) {
    const at = placeOf(mesh, rank);
    const key = (["data", "expert", "model"] as const).map((axis) => (axes.includes(axis) ? "" : at[axis])).join();
    groups.set(key, [...(groups.get(key) ?? []), rank]);
  }
  return [...groups.values()];
}

/**
 * A mesh of so many processes: what a run's file says, with the `data` axis as long as the rest leaves it where the file does not say.
 *
 * @throws usageError where the number of processes, the model or the batch does not fit, with meshes that would
 */
export function meshFor(wanted: Partial<Mesh>, size: number, model: ModelConfig, batchSize: number): Mesh {
  const { expert = 1, model: tensor = 1, zero } = wanted;
  const data = wanted.data ?? Math.max(1, Math.floor(size / (expert * tensor)));
  const mesh: Mesh = { data, expert, model: tensor, ...(zero ? { zero } : {}) };
  const needed = meshSize(mesh);
  const faults = meshFaults(mesh, model, batchSize);
  if (needed === size && faults.length === 0) return mesh;
  const fitting = fittingMeshes(size, model, batchSize, zero).slice(0, 3).map(meshText);
  const sizes = Array.from({ length: size }, (_, i) => i + 1).filter((n) => fittingMeshes(n, model, batchSize).length);
  throw usageError(`${size} ${size === 1 ? "process does" : "processes do"} not fit the run's mesh`, {
    code: "world-not-fitting",
    where: `mesh ${meshText(mesh)}, of ${needed}`,
    why: needed === size ? faults.join("; ") : `${size} were started`,
    hint: [
      ...(needed === size ? [] : [`start ${needed}${faults.length > 0 ? ` (then ${faults.join("; ")})` : ""}`]),
      fitting.length > 0
        ? `of ${size} these fit: ${fitting.join(" or ")}`
        : `start ${sizes.slice(-3).join(" or ")}, or change stream.batchSize`,
    ].join("; or "),
  });
}

/** `data=8,expert=16,model=2,zero=1`; an axis that is left out is 1. @throws usageError for anything else */
export function parseMesh(text: string): Mesh {
  const mesh: Mesh = { ...soloMesh };
  const named = new Set<string>();
  for (const part of text.split(",")) {
    const name = part.trim().split("=")[0];
    if (named.has(name)) {
      throw usageError(`the mesh has ${name} twice`, { code: "mesh-not-valid", hint: "--mesh data=8,expert=16" });
    }
    named.add(name);
    const [, zero] = /^zero=([01])$/.exec(part.trim()) ?? [];
    if (zero !== undefined) {
      mesh.zero = zero === "1" ? 1 : 0;
      continue;
    }
    const [, axis, size] = /^(data|expert|model)=([1-9]\d{0,5})$/.exec(part.trim()) ?? [];
    if (axis === undefined) {
      throw usageError(`"${part}" is no axis of a mesh`, {
        code: "mesh-not-valid",
        hint: "--mesh data=8,expert=16,model=2,zero=1; an axis that is left out is 1, zero is 0",
      });
    }
    mesh[axis as MeshAxis] = Number(size);
  }
  return mesh;
}

export function meshText({ data, expert, model, zero }: Mesh): string {
  return `data=${data},expert=${expert},model=${model}${zero ? ",zero=1" : ""}`;
}

/** What does not divide, in words; empty where the mesh fits the model and the batch. */
export function meshFaults(mesh: Mesh, model: ModelConfig, batchSize: number): string[] {
  const divides = (what: string, whole: number, axis: MeshAxis | "data × expert", parts: number): string[] =>
    whole % parts === 0 ? [] : [`${what} (${whole}) cannot be split over ${axis} = ${parts}`];
  return [
    ...divides("the batch", batchSize, "data × expert", mesh.data * mesh.expert),
    ...(mesh.expert > 1
      ? model.switch
        ? divides("the experts", model.switch.experts, "expert", mesh.expert)
        : ["a dense model has no experts to split: expert must be 1"]
      : []),
    ...divides("dFf", model.dFf, "model", mesh.model),
    ...divides("the heads", model.heads, "model", mesh.model),
    ...divides("the vocabulary", model.vocabSize, "model", mesh.model),
  ];
}

/** Every mesh of a number of processes that fits, those with more data-parallel ranks first; all with `zero` or none. */
export function fittingMeshes(size: number, model: ModelConfig, batchSize: number, zero?: Mesh["zero"]): Mesh[] {
  const meshes: Mesh[] = [];
  for (let tensor = 1; tensor <= size; tensor++) {
    if (size % tensor !== 0) continue;
    for (let expert = 1; expert <= size / tensor; expert++) {
      const mesh: Mesh = { data: size / tensor / expert, expert, model: tensor, ...(zero ? { zero } : {}) };
      if (Number.isInteger(mesh.data) && meshFaults(mesh, model, batchSize).length === 0) meshes.push(mesh);
    }
  }
  return meshes.sort((a, b) => b.data - a.data || a.model - b.model);
}
