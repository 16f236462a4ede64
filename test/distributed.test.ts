import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasProcessGroups } from "@mswitch/tfjs-backend-torch/distributed";
import { afterAll, describe, expect, test } from "vitest";
import { loadBackend } from "../src/backends/loadBackend.js";
import { type MetricsLine, metricsLineSchema } from "../src/run/runFiles.js";
import { startMswitch as start } from "./helpers/runMswitch.js";
import { writeTinyPipeline } from "./pretrainRun.js";

const folder = mkdtempSync(join(tmpdir(), "mswitch-distributed-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const usable = await loadBackend("torch").then(hasProcessGroups, () => false);

const keys = {
  backend: "torch",
  steps: 12,
  stream: { batchSize: 8, inputLength: 16 },
  evaluation: { every: 6, examplesPerLanguage: 2 },
  checkpoints: { every: 4, keepLast: 5 },
};
const sparse = (switchKeys: object | null) => ({
  preset: "tiny",
  ...{ dModel: 8, dKv: 4, dFf: 16, heads: 2 },
  switch: switchKeys,
});

const metrics = (run: string): MetricsLine[] =>
  readFileSync(join(run, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => metricsLineSchema.parse(JSON.parse(line)));

describe.skipIf(!usable)("several processes train one run", { timeout: 240_000 }, () => {
  test.each([
    ["dense", sparse(null)],
    // A group of tokens lies within one rank, so that capacity and balance are those of one process.
    ["Switch", sparse({ experts: 2, every: 1, group: "sequence", jitter: 0 })],
  ])("%s: losses of two processes are those of one", async (name, model) => {
    const file = await writeTinyPipeline(join(folder, name), { ...keys, model });
    const runs = { one: join(folder, name, "one"), two: join(folder, name, "two") };
    expect(await start(["pretrain", file, "--run", runs.one]).ended).toMatchObject({ status: 0 });
    const two = await start(["pretrain", file, "--run", runs.two, "--processes", "2", "--json"]).ended;
    expect(two.status, two.stderr).toBe(0);
    expect(JSON.parse(two.stdout)).toMatchObject({ step: 12, interrupted: false, run: runs.two });
    const [alone, together] = [metrics(runs.one), metrics(runs.two)];
    expect(together.map(({ step }) => step)).toEqual(alone.map(({ step }) => step));
    for (const [i, line] of alone.entries()) {
      for (const key of ["loss", "negLogPerplexity", "gradNorm", "auxLoss", "fractionDropped"] as const) {
        const [mine, theirs] = [line[key], together[i][key]];
        if (mine === undefined) expect(theirs).toBeUndefined();
        else
          expect(Math.abs(theirs! - mine), `${key} at step ${line.step}`).toBeLessThanOrEqual(
            1e-4 * Math.abs(mine) + 1e-7,
          );
      }
    }
    expect(readdirSync(join(runs.two, "eval")).sort()).toEqual(readdirSync(join(runs.one, "eval")).sort());
  });

  test("a signal ends all ranks after one step, with a checkpoint; the run goes on in one process", async () => {
    const file = await writeTinyPipeline(join(folder, "stopped"), { ...keys, steps: 400, model: sparse(null) });
    const run = join(folder, "stopped", "run");
    const { child, ended } = start(["pretrain", file, "--processes", "2"]);
    while (!existsSync(join(run, "metrics.jsonl"))) await new Promise((resolve) => setTimeout(resolve, 50));
    child.kill("SIGTERM");
    const { status, stderr } = await ended;
    expect(status, stderr).toBe(130);
    const step = metrics(run).at(-1)!.step;
    expect(step).toBeLessThan(400);
    expect(existsSync(join(run, "checkpoints", `step-${String(step).padStart(8, "0")}`, "complete.json"))).toBe(true);
    expect(existsSync(join(run, "run.lock"))).toBe(false);
    const more = await start(["pretrain", file, "--set", `steps=${step + 2}`]).ended;
    expect(more.status, more.stderr).toBe(0);
    expect(more.stderr).toContain(`going on from step ${step}`);
  });

  test("a rank that is killed ends the others, and the run goes on from its last checkpoint", async () => {
    const file = await writeTinyPipeline(join(folder, "killed"), { ...keys, steps: 300, model: sparse(null) });
    const run = join(folder, "killed", "run");
    const { child, ended } = start(["pretrain", file, "--processes", "2"]);
    while (!existsSync(join(run, "checkpoints", "step-00000004")))
      await new Promise((resolve) => setTimeout(resolve, 50));
    const ranks = readdirSync("/proc").filter((pid) => {
      try {
        return (
          /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ")[1] === `${child.pid}`
        );
      } catch {
        return false;
      }
    });
    expect(ranks).toHaveLength(2);
    process.kill(Number(ranks[1]), "SIGKILL");
    const { status, stderr } = await ended;
    expect(status).toBe(1);
    expect(stderr).toContain("[rank-failed]");
    const last = readdirSync(join(run, "checkpoints")).sort().at(-1)!;
    const steps = Number(last.replace("step-", "")) + 4;
    const more = await start(["pretrain", file, "--processes", "2", "--set", `steps=${steps}`]).ended;
    expect(more.status, more.stderr).toBe(0);
    expect(more.stderr).toContain("going on from step");
  });

  test("a peer that never comes, and one that stops, are one clear error after mesh.timeout", async () => {
    const file = await writeTinyPipeline(join(folder, "late"), { ...keys, steps: 10_000, model: sparse(null) });
    const args = (run: string, timeout: string) => [
      ...["pretrain", file, "--run", join(folder, "late", run)],
      ...["--set", `mesh.timeout=${timeout}`, "--set", "evaluation.every=20000"],
    ];
    const world = (rank: number, port: number) => ({
      ...{ RANK: `${rank}`, WORLD_SIZE: "2", MASTER_ADDR: "127.0.0.1", MASTER_PORT: `${port}` },
    });
    // Rank 0 listens and waits; nobody listens for rank 1.
    const alone = [0, 1].map((rank) => start(args(`alone-${rank}`, "2s"), world(rank, 29651 + rank)).ended);
    for (const [rank, ended] of alone.entries()) {
      const { status, stderr } = await ended;
      expect([status, stderr]).toEqual([1, expect.stringContaining("[world-lost]")]);
      expect(stderr).toContain(`rank ${rank} of 2 did not meet the others at 127.0.0.1:${29651 + rank}`);
    }
    // Long enough for both to start on a busy machine.
    const ranks = [0, 1].map((rank) => start(args("stopped", "20s"), world(rank, 29653)));
    let early: string | undefined;
    for (const { ended } of ranks) void ended.then(({ stderr }) => (early ??= stderr));
    const checkpoints = join(folder, "late", "stopped", "checkpoints");
    // Any of them: old ones are removed.
    while (!existsSync(checkpoints) || readdirSync(checkpoints).length === 0) {
      expect(early, "a rank ended before it was stopped").toBeUndefined();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    ranks[1].child.kill("SIGSTOP");
    const { status, stderr } = await ranks[0].ended;
    ranks[1].child.kill("SIGKILL");
    await ranks[1].ended;
    expect([status, stderr]).toEqual([1, expect.stringContaining("[world-lost]")]);
    expect(stderr).toMatch(/(all-reduce|all-gather) of ranks 0, 1 failed in rank 0 after \d+\.\d s/);
  });

  test("what does not fit together is one clear error each", async () => {
    const file = await writeTinyPipeline(join(folder, "wrong"), { ...keys, model: sparse(null) });
    const odd = await start(["pretrain", file, "--processes", "3"]).ended;
    expect([odd.status, odd.stderr.includes("[world-not-fitting]")]).toEqual([2, true]);
    const lost = await start(["pretrain", file], { WORLD_SIZE: "2", RANK: "0" }).ended;
    expect([lost.status, lost.stderr.includes("[world-incomplete]")]).toEqual([2, true]);
    const world = (rank: number, port: number) => ({
      ...{ RANK: `${rank}`, WORLD_SIZE: "2", MASTER_ADDR: "127.0.0.1", MASTER_PORT: `${port}` },
    });
    // Other configurations, other meshes.
    for (const [i, sets] of [
      ["seed=0", "seed=1"],
      ["mesh.data=2", "mesh.model=2"],
    ].entries()) {
      const different = await Promise.all(
        sets.map((set, rank) => start(["pretrain", file, "--set", set], world(rank, 29641 + i)).ended),
      );
      for (const { status, stderr } of different) {
        expect(status).toBe(2);
        expect(stderr).toContain("[world-mismatch]");
      }
    }
    // Rank 0 is to listen where somebody else does.
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    const late = await start(["pretrain", file], world(0, port)).ended;
    taken.close();
    expect([late.status, late.stderr]).toEqual([1, expect.stringContaining("[world-lost]")]);
    expect(late.stderr).toContain(`${port}`);
  });
});
