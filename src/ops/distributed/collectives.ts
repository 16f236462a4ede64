import type * as tf from "@tensorflow/tfjs-core";
import { fastOp } from "../fastPath.js";

/** What the ranks of a group make of their tensors: see `ProcessGroup.blocking` of the torch backend's package. */
export type CollectiveKind = "sum" | "max" | "exchange" | "gather";

/** Processes that hold parts of one thing. A group of one sends nothing. */
export interface RankGroup {
  /** This process among them, from 0. */
  readonly rank: number;
  readonly size: number;
  /** A new tensor, when every rank of the group has called it. Without gradient. */
  collective<T extends tf.Tensor>(kind: CollectiveKind, x: T): T;
}

/** A process that shares with nobody. */
export const soloGroup: RankGroup = {
  rank: 0,
  size: 1,
  collective() {
    throw new Error("internal: a process alone has nobody to talk to");
  },
};

/** The sum of what each rank has computed a part of. The gradient of a part is that of the sum. */
export function sumOfParts<T extends tf.Tensor>(x: T, group: RankGroup): T {
  if (group.size === 1) return x;
  return fastOp(
    [x],
    () => ({ value: group.collective("sum", x), saved: [] }),
    (dy) => [dy.clone()],
  );
}

/** What all ranks have alike and compute parts with. Its gradient is the sum of what comes back from the parts. */
export function forParts<T extends tf.Tensor>(x: T, group: RankGroup): T {
  if (group.size === 1) return x;
  return fastOp(
    [x],
    () => ({ value: x.clone(), saved: [] }),
    (dy) => [group.collective("sum", dy)],
  );
}
