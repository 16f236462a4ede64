import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { filesBelow, model, preprocess, snapshot, writeCorpus } from "../preprocessRuns.js";
import { type SlurmCluster, slurmMissing, startSlurm, until, writeProgram } from "./slurmCluster.js";

const missing = slurmMissing();

const title = `pipelines/slurm/preprocess.sh on a real Slurm${missing ? ` (skipped: ${missing})` : ""}`;

describe.skipIf(missing)(title, () => {
  let dir: string;
  let cluster: SlurmCluster;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "mswitch-slurm-"));
    cluster = await startSlurm(join(dir, "slurm"), 2);
    // Enough work that a task is still at it when it is told to stop.
    await writeCorpus(join(dir, "corpus"), ["af", "zh"], { shards: 9, documents: 700, words: 500 });
    writeProgram(dir);
  }, 120_000);
  afterAll(async () => {
    await cluster?.stop();
    rmSync(dir, { recursive: true, force: true });
  }, 90_000);

  const squeue = (): string => cluster.run("squeue");
  const submit = (out: string, tasks: number): string[] => {
    const cwd = join(dir, "logs");
    mkdirSync(cwd, { recursive: true });
    const settings = { TASKS: `${tasks}`, CPUS: "1", MEMORY: "1G", TIME: "10", MSWITCH: join(dir, "mswitch") };
    const env = { ...cluster.env, ...settings };
    const args = ["--source", join(dir, "corpus"), "--vocab", model, "--out", out];
    return execFileSync(resolve("pipelines/slurm/preprocess.sh"), args, { cwd, env, encoding: "utf8" })
      .trim()
      .split(" ");
  };
  /** Ids of the array's tasks that run now, such as `4_1`. */
  const running = (array: string): string[] =>
    cluster
      .run("squeue", "--noheader", "--states=RUNNING", "--format=%i", "--array", `--jobs=${array}`)
      .split("\n")
      .filter(Boolean);

  /** A task's `mswitch preprocess` into `out`, of another task than `id`. */
  const taskOtherThan = (id: string, out: string): { task: string; pid: number } | undefined => {
    const { stdout } = spawnSync("pgrep", ["--full", "--list-full", `node .*--out ${out} .*--task`], {
      encoding: "utf8",
    });
    const found = [...stdout.matchAll(/^(\d+) .*--task (\d+)\/\d+$/gm)].find(([, , task]) => !id.endsWith(`_${task}`));
    return found && { pid: Number(found[1]), task: found[2] };
  };

  it("gives the bytes of one local run, though one task is put back into the queue and the process of another is killed", async () => {
    const [local, out] = [join(dir, "local"), join(dir, "out")];
    expect(await preprocess(["--source", join(dir, "corpus"), "--vocab", model, "--out", local])).toMatchObject({
      code: 0,
    });

    const [array, finish] = submit(out, 4);
    const records = (): number => filesBelow(join(out, ".records")).filter((name) => name.endsWith(".json")).length;
    await until("a first shard", () => records() > 0, squeue);
    const [requeued] = await until("a task at work", () => running(array).length > 0 && running(array), squeue);
    const before = records();
    cluster.run("scontrol", "requeue", requeued);
    const killed = await until(
      "another task at work",
      () => records() > before && taskOtherThan(requeued, out),
      squeue,
    );
    process.kill(killed.pid, "SIGKILL");
    await until("the end of all jobs", () => cluster.run("squeue", "--noheader").trim() === "", squeue);

    const state = (job: string): string => cluster.run("scontrol", "show", "job", job);
    expect(state(requeued)).toMatch(/Restarts=1 /);
    expect(state(requeued)).toMatch(/JobState=COMPLETED/);
    expect(state(`${array}_${killed.task}`)).toMatch(/JobState=FAILED/);
    expect(state(finish)).toMatch(/JobState=COMPLETED/);
    expect(existsSync(join(out, "dataset.json"))).toBe(true);
    expect(snapshot(out)).toEqual(snapshot(local));
  }, 150_000);

  it("queues a task again that is told to stop, as before its time limit", async () => {
    const [local, out] = [join(dir, "local"), join(dir, "stopped")];
    const [array] = submit(out, 2);
    await until("a first shard", () => filesBelow(join(out, ".records")).length > 0, squeue);
    const [stopped] = await until("a task at work", () => running(array).length > 0 && running(array), squeue);
    cluster.run("scancel", "--signal=TERM", "--batch", stopped);
    await until("the end of all jobs", () => cluster.run("squeue", "--noheader").trim() === "", squeue);
    expect(cluster.run("scontrol", "show", "job", stopped)).toMatch(/Restarts=1 /);
    expect(snapshot(out)).toEqual(snapshot(local));
  }, 150_000);
});
