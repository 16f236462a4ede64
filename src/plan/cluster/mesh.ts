import { usageError } from "../../base/errors.js";
import type { ModelConfig } from "../../model/config.js";

/**
 * How processes share a run (Switch Transformers §5). The batch is split over `data` × `expert` ranks, the experts of each layer over `expert`
 * ranks, feed-forward layers, heads and vocabulary over `model` ranks. Neighbouring ranks differ in `model` first, then in `expert`.
 */
export interface Mesh {
  data: number;
  expert: number;
  model: number;
}

export const soloMesh: Mesh = { data: 1, expert: 1, model: 1 };

export function meshSize({ data, expert, model }: Mesh): number {
  return data * expert * model;
}

/** `data=8,expert=16,model=2`; an axis that is left out is 1. @throws usageError for anything else */
export function parseMesh(text: string): Mesh {
  const mesh = { ...soloMesh };
  for (const part of text.split(",")) {
    const [, axis, size] = /^(data|expert|model)=([1-9]\d{0,5})$/.exec(part.trim()) ?? [];
    if (axis === undefined) {
      throw usageError(`"${part}" is no axis of a mesh`, {
        code: "mesh-not-valid",
        hint: "--mesh data=8,expert=16,model=2; an axis that is left out is 1",
      });
    }
    mesh[axis as keyof Mesh] = Number(size);
  }
  return mesh;
}

export function meshText({ data, expert, model }: Mesh): string {
  return `data=${data},expert=${expert},model=${model}`;
}

/** What does not divide, in words; empty where the mesh fits the model and the batch. */
export function meshFaults(mesh: Mesh, model: ModelConfig, batchSize: number): string[] {
  const divides = (what: string, whole: number, axis: keyof Mesh | "data × expert", parts: number): string[] =>
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

/** Every mesh of a number of processes that fits, those with more data-parallel ranks first. */
export function fittingMeshes(size: number, model: ModelConfig, batchSize: number): Mesh[] {
  const meshes: Mesh[] = [];
  for (let tensor = 1; tensor <= size; tensor++) {
    if (size % tensor !== 0) continue;
    for (let expert = 1; expert <= size / tensor; expert++) {
      const mesh = { data: size / tensor / expert, expert, model: tensor };
      if (Number.isInteger(mesh.data) && meshFaults(mesh, model, batchSize).length === 0) meshes.push(mesh);
    }
  }
  return meshes.sort((a, b) => b.data - a.data || a.model - b.model);
}
