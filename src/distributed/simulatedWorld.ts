import type { TensorRows } from "@mswitch/tfjs-backend-torch/distributed";
import * as tf from "@tensorflow/tfjs-core";
import type { CollectiveKind } from "../ops/distributed/collectives.js";
import { type Mesh, type MeshAxis, meshSize, placeOf, ranksAlong } from "./mesh.js";
import type { World, WorldGroup } from "./world.js";

/** A collective that a rank has called: of which group, with what. */
export interface CalledCollective {
  axis: "all" | "batch" | "data" | "expert" | "model";
  kind: CollectiveKind | "sum together" | "mean together" | `sum to ${number}` | `broadcast from ${number}`;
  /** Of each tensor. */
  shapes: number[][];
  bytes: number;
}

/**
 * A rank of a mesh without its peers, for a dry run: its program is the real one, and every collective gives what it would if all ranks had
 * sent the same. What is called is written to `called`, in order.
 */
export function simulatedWorld(mesh: Mesh, rank: number, called: CalledCollective[]): World {
  const group = (axis: CalledCollective["axis"], axes: readonly MeshAxis[]): WorldGroup => {
    const ranks = ranksAlong(mesh, axes).find((one) => one.includes(rank))!;
    const size = ranks.length;
    const record = (kind: CalledCollective["kind"], given: readonly Pick<tf.Tensor, "shape">[]): void => {
      const shapes = given.map(({ shape }) => [...shape]);
      const values = shapes.reduce((sum, shape) => sum + tf.util.sizeFromShape(shape), 0);
      if (size > 1) called.push({ axis, kind, shapes, bytes: 4 * values });
    };
    const shapeOf = ({ tensor, rows }: TensorRows) => ({ shape: [rows, ...tensor.shape.slice(1)] });
    return {
      ...{ rank: ranks.indexOf(rank), size },
      collective<T extends tf.Tensor>(kind: CollectiveKind, x: T): T {
        record(kind, [x]);
        if (kind === "sum") return tf.mul(x, size);
        if (kind === "gather") return tf.stack(new Array<tf.Tensor>(size).fill(x)) as tf.Tensor as T;
        return x.clone();
      },
      sum: async (tensors) => record("sum together", tensors),
      mean: async (tensors) => record("mean together", tensors),
      sumTo: async (owner, rows) => record(`sum to ${owner}`, rows.map(shapeOf)),
      broadcast: async (owner, rows) => record(`broadcast from ${owner}`, rows.map(shapeOf)),
    };
  };
  const size = meshSize(mesh);
  return {
    ...{ rank, size, mesh, at: placeOf(mesh, rank) },
    all: group("all", ["data", "expert", "model"]),
    batch: group("batch", ["data", "expert"]),
    data: group("data", ["data"]),
    expert: group("expert", ["expert"]),
    model: group("model", ["model"]),
    gather: async (text) => new Array<string>(size).fill(text),
    traffic: () => [],
    close: () => {},
  };
}
