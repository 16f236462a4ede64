import { usageError } from "../base/errors.js";

/** Where this process stands among those that train together, and where they meet. */
export interface WorldAddress {
  /** From 0, of `worldSize`. */
  rank: number;
  worldSize: number;
  /** Among the processes of this machine. */
  localRank: number;
  host: string;
  port: number;
  /** Whether this process listens at `host`; a launcher may do it for all. */
  listens: boolean;
  /** Which start this is, where a launcher starts all ranks anew. */
  attempt: string;
  /** Who said so: `torchrun`, `Slurm`, `Kubernetes`. */
  from: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The world that a launcher's environment variables describe: torchrun's (`RANK`, `WORLD_SIZE`, `MASTER_ADDR`, `MASTER_PORT`), which Kubernetes
 * may set with `JOB_COMPLETION_INDEX` for the rank, or those of a Slurm step. Undefined where this process was started alone.
 *
 * @throws usageError where the variables are incomplete or contradict each other
 */
export function worldAddress(env: Environment): WorldAddress | undefined {
  if (env.WORLD_SIZE !== undefined) return torchWorld(env);
  if (Number(env.SLURM_STEP_NUM_TASKS ?? 1) > 1) return slurmWorld(env);
  return undefined;
}

function torchWorld(env: Environment): WorldAddress | undefined {
  const worldSize = integer(env, "WORLD_SIZE");
  const index = env.RANK ?? env.JOB_COMPLETION_INDEX;
  if (worldSize === 1 && index === undefined) return undefined;
  const rank = integer({ RANK: index }, "RANK");
  requireRank(rank, worldSize);
  const host = env.MASTER_ADDR;
  if (!host) throw incomplete("MASTER_ADDR is not set");
  return {
    ...{ rank, worldSize, host },
    localRank: env.LOCAL_RANK === undefined ? 0 : integer(env, "LOCAL_RANK"),
    port: integer(env, "MASTER_PORT"),
    // torchrun's agent listens at this address itself.
    listens: rank === 0 && env.TORCHELASTIC_USE_AGENT_STORE !== "True",
    attempt: `${env.TORCHELASTIC_RUN_ID ?? "0"}/${env.TORCHELASTIC_RESTART_COUNT ?? "0"}`,
    from: env.RANK === undefined ? "Kubernetes" : "torchrun's variables",
  };
}

function slurmWorld(env: Environment): WorldAddress {
  const worldSize = integer(env, "SLURM_STEP_NUM_TASKS");
  const rank = integer(env, "SLURM_PROCID");
  requireRank(rank, worldSize);
  const nodes = env.SLURM_STEP_NODELIST ?? env.SLURM_JOB_NODELIST;
  if (!nodes) throw incomplete("SLURM_STEP_NODELIST is not set");
  const job = integer(env, "SLURM_JOB_ID");
  const step = Number(env.SLURM_STEP_ID ?? 0) || 0;
  return {
    ...{ rank, worldSize, localRank: integer(env, "SLURM_LOCALID"), host: firstNode(nodes) },
    // Another one for each job and step; MASTER_PORT where it is taken.
    port: env.MASTER_PORT === undefined ? 20_000 + ((job * 7 + step) % 20_000) : integer(env, "MASTER_PORT"),
    listens: rank === 0,
    attempt: `${job}.${step}/${env.SLURM_RESTART_COUNT ?? "0"}`,
    from: "Slurm",
  };
}

/** The first host of Slurm's list: `gpu[07-09,12],login1` begins with `gpu07`. */
export function firstNode(list: string): string {
  const [, prefix, ranges, rest = ""] = /^([^[,]+)(?:\[([^\]]+)\])?([^,]*)/.exec(list) ?? [];
  if (prefix === undefined) throw incomplete(`SLURM_STEP_NODELIST is "${list}"`);
  return ranges === undefined ? prefix : `${prefix}${ranges.split(/[,-]/)[0]}${rest}`;
}

function integer(env: Environment, name: string): number {
  const text = env[name];
  if (text === undefined || text === "") throw incomplete(`${name} is not set`);
  if (!/^\d{1,7}$/.test(text)) throw incomplete(`${name} is "${text}", not a number`);
  return Number(text);
}

function requireRank(rank: number, worldSize: number): void {
  if (worldSize < 1 || rank >= worldSize) throw incomplete(`rank ${rank} does not exist among ${worldSize} processes`);
}

function incomplete(why: string): Error {
  return usageError("the variables of a distributed run do not fit together", {
    code: "world-incomplete",
    why,
    hint: "start with torchrun --no-python, srun, or mswitch pretrain --processes N; or unset WORLD_SIZE for one process",
  });
}
