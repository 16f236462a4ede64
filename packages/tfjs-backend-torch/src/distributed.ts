// Processes that train together: libtorch's c10d on TensorFlow.js tensors of the torch backend: Gloo on the CPU, NCCL on a GPU where the addon was built with it.
import { connect } from "node:net";
import { setTimeout } from "node:timers/promises";
import { engine, type Tensor, util } from "@tensorflow/tfjs-core";
import { type CollectiveTraffic, nativeAddon } from "./native.js";
import { TorchBackend } from "./torchBackend.js";

/** Where a process stands among those that work together. */
export interface ProcessGroupOptions {
  /** From 0. */
  rank: number;
  worldSize: number;
  /** Where rank 0, or the launcher on its behalf, listens. */
  host: string;
  port: number;
  /** Whether this process listens at `host`; rank 0 where left out. A launcher such as torchrun may listen itself. */
  listens?: boolean;
  /** Distinguishes groups that meet at the same address one after the other, as when a launcher starts all ranks anew. */
  attempt?: string;
  /** Seconds that a rank waits for the others, at the start and in each collective. 300 where left out. */
  timeoutSeconds?: number;
}

function torchBackend(): TorchBackend {
  const { backend } = engine();
  if (!(backend instanceof TorchBackend)) throw new Error("the active backend is not torch");
  return backend;
}

/** Consecutive rows of a tensor along its first axis. */
export interface TensorRows {
  tensor: Tensor;
  begin: number;
  rows: number;
}

/** Handle, number of the first value and how many. */
function valuesOf(x: Tensor | TensorRows): number[] {
  if (!("tensor" in x)) return [torchBackend().handleOf(x), 0, x.size];
  const { tensor, begin, rows } = x;
  const size = tensor.size / tensor.shape[0];
  return [torchBackend().handleOf(tensor), begin * size, rows * size];
}

/** Whether this build of the addon has process groups: on Linux, with a libtorch that has Gloo. */
export function hasProcessGroups(): boolean {
  return nativeAddon().groupsAvailable;
}

/**
 * Joins the other processes; settles when all have come. A process is in one such group at a time.
 *
 * @throws Error where one of them does not come within the timeout, or the address cannot be reached
 */
export async function joinProcessGroup(options: ProcessGroupOptions): Promise<ProcessGroup> {
  const { rank, worldSize: size, host, port, listens = rank === 0, attempt = "0", timeoutSeconds = 300 } = options;
  const deadline = util.now() + 1000 * timeoutSeconds;
  try {
    if (!listens) await reach(host, port, deadline);
    const timeoutMs = 1000 * timeoutSeconds;
    await nativeAddon().groupOpen({ host, port, listens, rank, size, prefix: `tfjs-torch/${attempt}`, timeoutMs });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`rank ${rank} of ${size} did not meet the others at ${host}:${port}: ${why}`, { cause: error });
  }
  return new ProcessGroup(
    0,
    Array.from({ length: size }, (_, i) => i),
    rank,
  );
}

/** Settles when somebody listens at an address: c10d's own client waits twice as long as it is told, and prints its stack. */
async function reach(host: string, port: number, deadline: number): Promise<void> {
  const start = util.now();
  for (;;) {
    const socket = connect({ host, port, timeout: Math.max(1, deadline - util.now()) });
    const failure = await new Promise<Error | undefined>((resolve) => {
      socket.once("connect", () => resolve(undefined));
      socket.once("timeout", () => resolve(new Error("no answer")));
      socket.once("error", resolve);
    });
    socket.destroy();
    if (failure === undefined) return;
    if (util.now() + pauseMs > deadline) {
      const seconds = ((util.now() - start) / 1000).toFixed(1);
      throw new Error(`nobody listens there after ${seconds} s (${failure.message})`, { cause: failure });
    }
    await setTimeout(pauseMs);
  }
}

/** Between two attempts to reach whoever listens. */
const pauseMs = 100;

/**
 * Some processes that call the same collectives in the same order. Each method starts its collective at once and settles when it is done; a
 * rank that dies or does not come within the timeout is an error that names operation, ranks and seconds, after which the process should end.
 */
export class ProcessGroup {
  /** @param ranks of the group's processes among all; @param rank this process's among all */
  constructor(
    /** Its number among this process's groups: 0 is all processes. */
    readonly id: number,
    readonly ranks: readonly number[],
    private readonly globalRank: number,
  ) {}

  /** Processes in the group. */
  get size(): number {
    return this.ranks.length;
  }

  /** This process's place in the group. */
  get rank(): number {
    return this.ranks.indexOf(this.globalRank);
  }

  /**
   * A group of some of the processes. Every process must call this with the same ranks and in the same order, also those that are not in it.
   *
   * @returns undefined where this process is not in it
   */
  async subgroup(ranks: readonly number[]): Promise<ProcessGroup | undefined> {
    const id = await this.run("forming a group", nativeAddon().groupSplit(ranks));
    return id < 0 ? undefined : new ProcessGroup(id, ranks, this.globalRank);
  }

  /**
   * Sums tensors over the processes, in place and times `factor`; or takes the largest. Float tensors; they are summed in float32 whatever
   * their dtype in memory, in buckets of 32 MiB.
   */
  async allReduce(tensors: readonly Tensor[], { op = "sum", factor = 1 }: AllReduceOptions = {}): Promise<void> {
    const handles = tensors.map((tensor) => torchBackend().handleOf(tensor));
    await this.run("all-reduce", nativeAddon().groupAllReduce(this.id, handles, op === "max", factor));
  }

  /** The same sums, of tensors or of rows of them, in those of `root` alone, a rank of this group. What the others hold afterwards is of no use. */
  async reduce(tensors: readonly (Tensor | TensorRows)[], root: number): Promise<void> {
    await this.run("reduce", nativeAddon().groupReduce(this.id, tensors.flatMap(valuesOf), root));
  }

  /** `out` [n/size, …] becomes this process's part of the sum of `x` [n, …]. */
  async reduceScatter(out: Tensor, x: Tensor): Promise<void> {
    requireSizes("reduce-scatter", out.size * this.size, x.size);
    await this.collective("reduce-scatter", out, x);
  }

  /** `out` [size·n, …] becomes every process's `x` [n, …], in order of rank. */
  async allGather(out: Tensor, x: Tensor): Promise<void> {
    requireSizes("all-gather", out.size, x.size * this.size);
    await this.collective("all-gather", out, x);
  }

  /**
   * Rows of `x` go to the processes in order of rank, and rows from each arrive in `out`, in order too.
   *
   * @param counts rows from and to each process; as many for everyone where left out
   */
  async allToAll(
    out: Tensor,
    x: Tensor,
    counts?: { receive: readonly number[]; send: readonly number[] },
  ): Promise<void> {
    for (const [name, tensor, rows] of [
      ["receives", out, counts?.receive],
      ["sends", x, counts?.send],
    ] as const) {
      const all = rows?.reduce((sum, one) => sum + one, 0);
      if (rows && (rows.length !== this.size || all !== tensor.shape[0])) {
        throw new Error(
          `all-to-all: it ${name} [${rows}] rows of ${this.size} processes, the tensor has ${tensor.shape[0]}`,
        );
      }
    }
    await this.collective("all-to-all", out, x, counts?.receive ?? [], counts?.send ?? []);
  }

  /**
   * Every process's tensors, or rows of them, become what those of `root`, a rank of this group, are. Of one dtype, in buckets of 32 MiB.
   *
   * @param from what root sends, where that is not what it has in `tensors`; of the same sizes
   */
  async broadcast(
    tensors: readonly (Tensor | TensorRows)[],
    root = 0,
    from: readonly (Tensor | TensorRows)[] = tensors,
  ): Promise<void> {
    const sent = this.rank === root ? from.flatMap(valuesOf) : undefined;
    await this.run("broadcast", nativeAddon().groupBroadcast(this.id, tensors.flatMap(valuesOf), root, sent));
  }

  /** Settles when all processes have called it. */
  async barrier(): Promise<void> {
    await this.run("barrier", nativeAddon().groupCollective("barrier", this.id));
  }

  /**
   * A collective that blocks until every process of the group has called it, for layers whose forward or backward pass needs its result:
   * a new tensor in x's dtype, on the tape of no gradient.
   *
   * - `sum`, `max`: of all processes' `x`;
   * - `exchange`: an all-to-all in which as many rows of `x` go to each process as come from it;
   * - `gather`: all processes' `x` in order of rank, [size, …x].
   */
  blocking<T extends Tensor>(kind: BlockingCollective, x: T): T {
    const start = util.now();
    try {
      const attributes = { kind: blockingCollectives.indexOf(kind), group: this.id };
      return engine().runKernel("TorchCollective", { x }, attributes) as T;
    } catch (error) {
      throw this.failure(kind, start, error);
    }
  }

  /** What this process has given to collectives so far, in each of its groups. */
  traffic(): CollectiveTraffic[] {
    return nativeAddon().groupTraffic();
  }

  /** Leaves all groups. The others notice at their next collective. */
  close(): void {
    nativeAddon().groupClose();
  }

  private async collective(
    kind: string,
    out: Tensor,
    x: Tensor,
    ...rest: (number | readonly number[])[]
  ): Promise<void> {
    const [to, from] = [out, x].map((tensor) => torchBackend().handleOf(tensor));
    await this.run(kind, nativeAddon().groupCollective(kind, this.id, to, from, ...rest));
  }

  private async run<T>(what: string, work: Promise<T>): Promise<T> {
    const start = util.now();
    try {
      return await work;
    } catch (error) {
      throw this.failure(what, start, error);
    }
  }

  private failure(what: string, start: number, error: unknown): Error {
    const seconds = ((util.now() - start) / 1000).toFixed(1);
    const message = error instanceof Error ? error.message : String(error);
    const ranks = this.ranks.join(", ");
    return new Error(`${what} of ranks ${ranks} failed in rank ${this.globalRank} after ${seconds} s: ${message}`, {
      cause: error,
    });
  }
}

/** In the order of native/distributed/collective.cc. */
const blockingCollectives = ["sum", "max", "exchange", "gather"] as const;
export type BlockingCollective = (typeof blockingCollectives)[number];

export interface AllReduceOptions {
  op?: "sum" | "max";
  /** Multiplies the result: 1/size makes sums means. */
  factor?: number;
}

function requireSizes(what: string, whole: number, given: number): void {
  if (whole !== given) throw new Error(`${what}: the tensors' sizes do not fit together (${whole} and ${given})`);
}
