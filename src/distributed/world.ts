import type { ProcessGroup } from "@mswitch/tfjs-backend-torch/distributed";
import * as tf from "@tensorflow/tfjs-core";
import { MswitchError, messageOf, usageError } from "../base/errors.js";
import type { WorldAddress } from "./worldAddress.js";

/** The processes of a run. One that trains alone is a world of its own, in which nothing is sent. */
export interface World {
  readonly rank: number;
  readonly size: number;
  /** Sums tensors over all ranks, in place. */
  sum(tensors: readonly tf.Tensor[]): Promise<void>;
  /** The same with means. */
  mean(tensors: readonly tf.Tensor[]): Promise<void>;
  /** Every rank's text, in order of rank. */
  gather(text: string): Promise<string[]>;
  /** Leaves; the others notice at their next collective. */
  close(): void;
}

export const soloWorld: World = {
  rank: 0,
  size: 1,
  sum: async () => {},
  mean: async () => {},
  gather: async (text) => [text],
  close: () => {},
};

/** Seconds that a rank waits for the others: an evaluation of rank 0 must fit. */
const timeoutSeconds = 600;

/**
 * Meets the other processes, on the torch backend.
 *
 * @throws usageError where this machine has no process groups; MswitchError where the others do not come
 */
export async function joinWorld(address: WorldAddress): Promise<World> {
  const { hasProcessGroups, joinProcessGroup } = await import("@mswitch/tfjs-backend-torch/distributed");
  if (!tf.getBackend().startsWith("torch") || !hasProcessGroups()) {
    throw usageError("several processes cannot train together here", {
      code: "world-not-available",
      why: "it takes the torch backend on the CPU, on Linux, with a libtorch that has Gloo",
      hint: "see mswitch doctor; or start one process",
    });
  }
  const group = await failing(address, joinProcessGroup({ ...address, timeoutSeconds }));
  return {
    rank: address.rank,
    size: address.worldSize,
    sum: (tensors) => failing(address, group.allReduce(tensors)),
    mean: (tensors) => failing(address, group.allReduce(tensors, { factor: 1 / group.size })),
    gather: (text) => failing(address, gatherText(group, text)),
    close: () => group.close(),
  };
}

/** A lost peer, as an error that the user can act on. */
async function failing<T>({ rank, worldSize, host, port }: WorldAddress, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new MswitchError("the processes of the run lost each other", {
      code: "world-lost",
      where: `rank ${rank} of ${worldSize}, meeting at ${host}:${port}`,
      why: messageOf(error),
      hint: "look into the other ranks' logs; start all of them again: the run goes on from its last checkpoint",
      cause: error,
    });
  }
}

/** UTF-8 bytes, padded to the longest rank's. */
async function gatherText(group: ProcessGroup, text: string): Promise<string[]> {
  const bytes = new TextEncoder().encode(text);
  const lengths = tf.zeros([group.size], "int32");
  const length = tf.tensor1d([bytes.length], "int32");
  await group.allGather(lengths, length);
  const sizes = [...(await lengths.data())];
  const longest = Math.max(1, ...sizes);
  const padded = new Int32Array(longest);
  padded.set(bytes);
  const mine = tf.tensor1d(padded, "int32");
  const all = tf.zeros([group.size * longest], "int32");
  await group.allGather(all, mine);
  const values = await all.data();
  tf.dispose([lengths, length, mine, all]);
  const decoder = new TextDecoder();
  return sizes.map((size, rank) =>
    decoder.decode(Uint8Array.from(values.slice(rank * longest, rank * longest + size))),
  );
}
