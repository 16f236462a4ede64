import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { hasProcessGroups } from "@mswitch/tfjs-backend-torch/distributed";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../src/backends/loadBackend.js";
import { writeTinyPipeline } from "../pretrainRun.js";
import { type SlurmCluster, slurmMissing, startSlurm, until, writeProgram } from "./slurmCluster.js";

const usable = await loadBackend("torch").then(hasProcessGroups, () => false);
const missing = slurmMissing() ?? (usable ? undefined : "no process groups here");

const title = `pipelines/slurm/pretrain.sbatch on a real Slurm${missing ? ` (skipped: ${missing})` : ""}`;

describe.skipIf(missing)(title, () => {
  let dir: string;
  let cluster: SlurmCluster;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "mswitch-slurm-pretrain-"));
    cluster = await startSlurm(join(dir, "slurm"), 2);
    writeProgram(dir);
  }, 120_000);
  afterAll(async () => {
    await cluster?.stop();
    rmSync(dir, { recursive: true, force: true });
  }, 90_000);

  const logs = (): string =>
    readdirSync(dir)
      .filter((name) => name.endsWith(".out"))
      .map((name) => readFileSync(join(dir, name), "utf8"))
      .join("\n");

  it("two tasks train one run, experts split between them; told to stop it is queued again, goes on and ends", async () => {
    const steps = 120;
    const file = await writeTinyPipeline(join(dir, "tiny"), {
      ...{ backend: "torch", steps, mesh: { expert: 2 } },
      stream: { batchSize: 8, inputLength: 16 },
      checkpoints: { every: 1000 },
      evaluation: { every: 1000, examplesPerLanguage: 1 },
    });
    const run = join(dir, "run");
    const settings = ["--parsable", "--ntasks=2", "--cpus-per-task=1", `--chdir=${dir}`, "--export=ALL"];
    Object.assign(cluster.env, { MSWITCH: join(dir, "mswitch"), OMP_NUM_THREADS: "1" });
    const script = resolve("pipelines/slurm/pretrain.sbatch");
    const job = cluster.run("sbatch", ...settings, script, file, "--run", run).trim();
    await until("a first step", () => existsSync(join(run, "metrics.jsonl")), logs);
    cluster.run("scancel", "--signal=TERM", "--batch", job);
    await until("the end of the job", () => cluster.run("squeue", "--noheader").trim() === "", logs);

    const state = cluster.run("scontrol", "show", "job", job);
    expect(state).toMatch(/Restarts=1 /);
    expect(state).toMatch(/JobState=COMPLETED/);
    const lines = readFileSync(join(run, "metrics.jsonl"), "utf8").trim().split("\n");
    expect(lines).toHaveLength(steps);
    const log = readFileSync(join(dir, `slurm-${job}.out`), "utf8");
    expect(log).toContain("2 processes, mesh data=1,expert=2,model=1");
    expect(log).toMatch(/going on from step \d+/);
    expect(existsSync(join(run, "checkpoints", `step-${String(steps).padStart(8, "0")}`, "complete.json"))).toBe(true);
  }, 200_000);
});
