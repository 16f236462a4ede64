import type { ProcessGroup, TensorRows } from "@mswitch/tfjs-backend-torch/distributed";
import * as tf from "@tensorflow/tfjs-core";
import { MswitchError, messageOf, usageError } from "../base/errors.js";
import { type RankGroup, soloGroup } from "../ops/distributed/collectives.js";
import { type Mesh, type MeshAxis, type MeshPlace, meshText, placeOf, ranksAlong, soloMesh } from "./mesh.js";
import type { WorldAddress } from "./worldAddress.js";

/** Some of the run's processes. */
export interface WorldGroup extends RankGroup {
  /** Sums tensors over the group, in place. */
  sum(tensors: readonly tf.Tensor[]): Promise<void>;
  /** The same with means. */
  mean(tensors: readonly tf.Tensor[]): Promise<void>;
  /** Sums rows of tensors into those of one rank of the group. What the others' hold afterwards is of no use. */
  sumTo(owner: number, rows: readonly TensorRows[]): Promise<void>;
  /** Every rank's rows become one rank's; `from` is what that one sends, where it has that beside them. */
  broadcast(owner: number, rows: readonly TensorRows[], from?: readonly (tf.Tensor | TensorRows)[]): Promise<void>;
}

/** Bytes of the tensors that a rank gave to one kind of collective in one group. */
export interface GivenBytes {
  kind: string;
  group: number;
  ranks: number;
  bytes: number;
}

/** The processes of a run, and how they share it. One that trains alone is a world of its own, in which nothing is sent. */
export interface World {
  readonly rank: number;
  readonly size: number;
  readonly mesh: Mesh;
  /** This rank's place on the mesh. */
  readonly at: MeshPlace;
  /** Everybody. */
  readonly all: WorldGroup;
  /** Those with other rows of each batch: along `data` and `expert`. */
  readonly batch: WorldGroup;
  /** Along one axis: those with the same experts, those with the others, those with the other parts of what is split. */
  readonly data: WorldGroup;
  readonly expert: WorldGroup;
  readonly model: WorldGroup;
  /** Every rank's text, in order of rank. */
  gather(text: string): Promise<string[]>;
  /** What this rank has given to collectives so far. */
  traffic(): GivenBytes[];
  /** Leaves; the others notice at their next collective. */
  close(): void;
}

const nothing = async (): Promise<void> => {};
const alone: WorldGroup = { ...soloGroup, sum: nothing, mean: nothing, sumTo: nothing, broadcast: nothing };

export const soloWorld: World = {
  ...{ rank: 0, size: 1, mesh: soloMesh, at: { data: 0, expert: 0, model: 0 } },
  ...{ all: alone, batch: alone, data: alone, expert: alone, model: alone },
  gather: async (text) => [text],
  traffic: () => [],
  close: () => {},
};

/**
 * Meets the other processes, on the torch backend.
 *
 * @param timeoutSeconds that a rank waits for the others, here and in each collective
 * @throws usageError where this machine has no process groups; MswitchError where the others do not come
 */
export async function joinWorld(address: WorldAddress, mesh: Mesh, timeoutSeconds: number): Promise<World> {
  const { hasProcessGroups, joinProcessGroup } = await import("@mswitch/tfjs-backend-torch/distributed");
  if (!tf.getBackend().startsWith("torch") || !hasProcessGroups()) {
    throw usageError("several processes cannot train together here", {
      code: "world-not-available",
      why: "it takes the torch backend on the CPU, on Linux, with a libtorch that has Gloo",
      hint: "see mswitch doctor; or start one process",
    });
  }
  const group = await joinProcessGroup({ ...address, timeoutSeconds }).catch((error: unknown) => {
    throw new MswitchError("the processes of the run did not meet", {
      code: "world-lost",
      where: `rank ${address.rank} of ${address.worldSize}, by ${address.from}`,
      why: messageOf(error),
      hint: "start all ranks within mesh.timeout, with the address of rank 0 and a port that is free there",
      cause: error,
    });
  });
  const all = worldGroup(address, group);
  const meshes = await failing(address, gatherText(group, meshText(mesh)));
  const others = meshes.flatMap((one, rank) => (one === meshes[0] ? [] : [rank]));
  if (others.length > 0) {
    throw usageError("the processes were started with different meshes", {
      code: "world-mismatch",
      where: `rank ${others.join(", ")}`,
      why: `rank 0 has ${meshes[0]}, rank ${others[0]} has ${meshes[others[0]]}`,
      hint: "start every rank with the same command",
    });
  }
  // Every rank forms every group, in one order.
  const along = async (...axes: MeshAxis[]): Promise<WorldGroup> => {
    let own = alone;
    for (const ranks of ranksAlong(mesh, axes)) {
      // Experts have connections of their own: their tokens do not wait for the gradients that are on their way beside the backward pass.
      if (ranks.length === group.size && axes.join() !== "expert") return all;
      if (ranks.length === 1) continue;
      const formed = await failing(address, group.subgroup(ranks));
      if (formed) own = worldGroup(address, formed);
    }
    return own;
  };
  return {
    ...{ rank: address.rank, size: address.worldSize, mesh, at: placeOf(mesh, address.rank), all },
    batch: await along("data", "expert"),
    data: await along("data"),
    expert: await along("expert"),
    model: await along("model"),
    gather: (text) => failing(address, gatherText(group, text)),
    traffic: () => group.traffic(),
    close: () => group.close(),
  };
}

function worldGroup(address: WorldAddress, group: ProcessGroup): WorldGroup {
  return {
    rank: group.rank,
    size: group.size,
    collective(kind, x) {
      try {
        return group.blocking(kind, x);
      } catch (error) {
        throw lost(address, error);
      }
    },
    sum: (tensors) => failing(address, group.allReduce(tensors)),
    mean: (tensors) => failing(address, group.allReduce(tensors, { factor: 1 / group.size })),
    sumTo: (owner, rows) => failing(address, group.reduce(rows, owner)),
    broadcast: (owner, rows, from) => failing(address, group.broadcast(rows, owner, from)),
  };
}

async function failing<T>(address: WorldAddress, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw lost(address, error);
  }
}

/** A lost peer, as an error that the user can act on. */
function lost({ rank, worldSize, host, port }: WorldAddress, error: unknown): MswitchError {
  return new MswitchError("the processes of the run lost each other", {
    code: "world-lost",
    where: `rank ${rank} of ${worldSize}, meeting at ${host}:${port}`,
    why: messageOf(error),
    hint: "look into the other ranks' logs; start all of them again: the run goes on from its last checkpoint",
    cause: error,
  });
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
