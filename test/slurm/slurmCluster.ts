import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Why a Slurm of our own cannot be started here; undefined where it can. */
export function slurmMissing(): string | undefined {
  if (process.getuid?.() !== 0) return "slurmd needs root";
  const missing = ["munged", "slurmctld", "slurmd", "sbatch"].filter(
    (program) => spawnSync("which", [program], { env: withSbin() }).status !== 0,
  );
  return missing.length > 0 ? `not installed: ${missing.join(", ")} (Debian: slurm-wlm, munge)` : undefined;
}

export interface SlurmCluster {
  /** Runs one of Slurm's programs (sbatch, scontrol, squeue …) and gives its stdout. */
  run(program: string, ...args: string[]): string;
  /** Environment with which programs find this cluster. */
  env: NodeJS.ProcessEnv;
  /** Ends the daemons and waits until they have written their last. */
  stop(): Promise<void>;
}

/** A program `mswitch` in a folder, which runs this checkout. */
export function writeProgram(dir: string): string {
  const program = join(dir, "mswitch");
  writeFileSync(program, `#!/bin/sh\nexec "${process.execPath}" "${resolve("bin/run.js")}" "$@"\n`, { mode: 0o755 });
  return program;
}

/**
 * Waits for what a probe finds, 100 seconds at most.
 *
 * @param told what an error says of the state of things
 */
export async function until<T>(what: string, probe: () => T | undefined | false, told: () => string): Promise<T> {
  for (const end = Date.now() + 100_000; Date.now() < end; await sleep(50)) {
    const found = probe();
    if (found) return found;
  }
  throw new Error(`waited in vain for ${what}:\n${told()}`);
}

/** A real Slurm of one node with `cpus` cores: munged, slurmctld and slurmd, with all their files in `dir`. */
export async function startSlurm(dir: string, cpus: number): Promise<SlurmCluster> {
  for (const name of ["state", "spool"]) mkdirSync(join(dir, name), { recursive: true });
  const host = hostname().split(".")[0];
  const [controllerPort, nodePort] = [await freePort(), await freePort()];
  const config = join(dir, "slurm.conf");
  writeFileSync(
    config,
    `ClusterName=mswitch
SlurmctldHost=${host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A job put back into the queue starts again after this many seconds (normally 120).
AuthInfo=socket=${dir}/munge.socket,cred_expire=5
StateSaveLocation=${dir}/state
SlurmdSpoolDir=${dir}/spool
SlurmctldPidFile=${dir}/slurmctld.pid
SlurmdPidFile=${dir}/slurmd.pid
SlurmctldLogFile=${dir}/slurmctld.log
SlurmdLogFile=${dir}/slurmd.log
SlurmctldPort=${controllerPort}
SlurmdPort=${nodePort}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,batch_sched_delay=0,defer
JobRequeue=1
KillWait=5
ReturnToService=2
MpiDefault=none
NodeName=${host} NodeAddr=127.0.0.1 CPUs=${cpus} RealMemory=4096 State=UNKNOWN
PartitionName=all Nodes=${host} Default=YES MaxTime=INFINITE State=UP
`,
  );
  const key = join(dir, "munge.key");
  writeFileSync(key, randomBytes(1024), { mode: 0o400 });
  const env = { ...withSbin(), SLURM_CONF: config };
  const run = (program: string, ...args: string[]): string =>
    execFileSync(program, args, { env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

  const files = ["key", "socket", "pid", "log", "seed"].map((name) => {
    const option = { key: "key-file", socket: "socket", pid: "pid-file", log: "log-file", seed: "seed-file" }[name];
    return `--${option}=${dir}/${name === "pid" ? "munged.pid" : `munge.${name}`}`;
  });
  run("munged", "--force", ...files);
  run("slurmctld", "-f", config);
  run("slurmd", "-f", config);
  return {
    run,
    env,
    stop: async () => {
      for (const daemon of ["slurmctld", "slurmd", "munged"]) {
        try {
          const pid = Number(readFileSync(join(dir, `${daemon}.pid`), "utf8"));
          process.kill(pid, "SIGTERM");
          for (const end = Date.now() + 20_000; Date.now() < end; await sleep(50)) process.kill(pid, 0);
        } catch {
          // It has ended.
        }
      }
    },
  };
}

/** Debian keeps the daemons where a user's PATH does not look. */
function withSbin(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
