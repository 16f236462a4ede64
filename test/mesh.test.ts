import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasProcessGroups } from "@mswitch/tfjs-backend-torch/distributed";
import { afterAll, describe, expect, test } from "vitest";
import { loadBackend } from "../src/backends/loadBackend.js";
import { openSafetensors } from "../src/model/checkpoint/safetensors.js";
import { metricsLineSchema } from "../src/run/runFiles.js";
import { runMswitch } from "./helpers/runMswitch.js";
import { writeTinyPipeline } from "./pretrainRun.js";

const folder = mkdtempSync(join(tmpdir(), "mswitch-mesh-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const usable = await loadBackend("torch").then(hasProcessGroups, () => false);

const keys = {
  backend: "torch",
  steps: 9,
  stream: { batchSize: 12, inputLength: 16 },
  evaluation: { every: 6, examplesPerLanguage: 3 },
  checkpoints: { every: 3, keepLast: 5 },
};
const tiny = { preset: "tiny", dModel: 8, dKv: 4, dFf: 16, heads: 2 };

/** @returns what rank 0 gave to collectives in a step, by kind and number of ranks */
async function train(
  file: string,
  run: string,
  processes: number,
  sets: Record<string, number>,
): Promise<Record<string, number>> {
  const set = Object.entries(sets).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
  const shared = processes > 1 ? ["--processes", String(processes)] : [];
  const { status, stdout, stderr } = await runMswitch(["pretrain", file, "--run", run, "--json", ...shared, ...set]);
  expect(status, stderr).toBe(0);
  const { traffic = [] } = JSON.parse(stdout) as { traffic?: { kind: string; ranks: number; bytes: number }[] };
  return Object.fromEntries(traffic.map(({ kind, ranks, bytes }) => [`${kind} of ${ranks}`, bytes]));
}

/** The same as planned. */
async function planned(file: string, mesh: string): Promise<Record<string, number>> {
  const { status, stdout, stderr } = await runMswitch(["plan", file, "--mesh", mesh, "--json"]);
  expect(status, stderr).toBe(0);
  const { traffic } = JSON.parse(stdout) as {
    traffic: { kind: string; ranks: number; times: number; tensorBytes: number }[];
  };
  const sums: Record<string, number> = {};
  for (const { kind, ranks, times, tensorBytes } of traffic) {
    sums[`${kind} of ${ranks}`] = (sums[`${kind} of ${ranks}`] ?? 0) + times * tensorBytes;
  }
  return sums;
}

/** Losses and evaluations are the same within 1e-4, weights within 1e-4 of the largest of their tensor. */
async function expectSameRun(run: string, other: string): Promise<void> {
  const [one, two] = [run, other].map((at) =>
    readFileSync(join(at, "metrics.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => metricsLineSchema.parse(JSON.parse(line))),
  );
  expect(two.map(({ step }) => step)).toEqual(one.map(({ step }) => step));
  for (const [i, line] of one.entries()) {
    for (const key of ["loss", "gradNorm"] as const) {
      expect(Math.abs(two[i][key]! / line[key]! - 1), `${key} at step ${line.step}`).toBeLessThan(1e-4);
    }
  }
  for (const name of readdirSync(join(run, "eval"))) {
    const [a, b] = [run, other].map(
      (at) =>
        JSON.parse(readFileSync(join(at, "eval", name), "utf8")) as {
          languages: Record<string, { negLogPerplexity: number }>;
        },
    );
    for (const [code, { negLogPerplexity }] of Object.entries(a.languages)) {
      expect(b.languages[code].negLogPerplexity).toBeCloseTo(negLogPerplexity, 3);
    }
  }
  await expectSameTensors(run, other, "", 1e-4);
}

/** Tensors of the last checkpoints' files that begin so are the same within a part of the largest value of each. */
async function expectSameTensors(run: string, other: string, files: string, tolerance: number): Promise<void> {
  const [whole, parts] = await Promise.all([run, other].map((at) => tensorsOf(at, files)));
  expect(whole.size).toBeGreaterThan(0);
  expect([...parts.keys()].sort()).toEqual([...whole.keys()].sort());
  for (const [name, values] of whole) {
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const found = parts.get(name)!;
    const off = values.reduce((most, value, i) => Math.max(most, Math.abs(value - found[i])), 0);
    expect(off / (largest || 1), name).toBeLessThanOrEqual(tolerance);
  }
}

/** Weights and moments of a run's last checkpoint; moments of several files one after the other. */
async function tensorsOf(run: string, files: string): Promise<Map<string, Float32Array>> {
  const checkpoints = join(run, "checkpoints");
  const last = join(checkpoints, readdirSync(checkpoints).sort().at(-1)!);
  const values = new Map<string, Float32Array>();
  for (const name of readdirSync(last).sort()) {
    if (!name.startsWith(files) || !name.endsWith(".safetensors")) continue;
    const file = await openSafetensors(join(last, name));
    for (const tensor of file.tensors.keys()) {
      const before = values.get(tensor) ?? new Float32Array();
      values.set(tensor, Float32Array.from([...before, ...(await file.readFloat(tensor))]));
    }
    await file.close();
  }
  return values;
}

describe.skipIf(!usable)("a model split over processes", { timeout: 240_000 }, () => {
  test("Switch: experts and their parts in four processes, then three, then one: the run of one process", async () => {
    const model = { ...tiny, switch: { experts: 2, every: 1, group: "sequence", jitter: 0, sharedExpert: true } };
    const file = await writeTinyPipeline(join(folder, "switch"), { ...keys, model });
    const [one, many] = ["one", "many"].map((name) => join(folder, "switch", name));
    await train(file, one, 1, {});
    const counted = await train(file, many, 4, { steps: 3, "mesh.expert": 2, "mesh.model": 2 });
    expect(counted).toEqual(await planned(file, "expert=2,model=2"));
    const first = join(many, "checkpoints", "step-00000003");
    expect(readdirSync(first).filter((name) => name.endsWith(".safetensors"))).toEqual([
      "model-00001-of-00002.safetensors",
      "model-00002-of-00002.safetensors",
      "optimizer-00001-of-00002.safetensors",
      "optimizer-00002-of-00002.safetensors",
    ]);
    expect(await train(file, many, 3, { steps: 6 })).toEqual(await planned(file, "data=3"));
    await train(file, many, 1, {});
    await expectSameRun(one, many);
  });

  test("dense, in two processes with half of dFf, heads and vocabulary each: the run of one process", async () => {
    const file = await writeTinyPipeline(join(folder, "dense"), { ...keys, model: { ...tiny, switch: null } });
    const [one, two] = ["one", "two"].map((name) => join(folder, "dense", name));
    await train(file, one, 1, {});
    expect(await train(file, two, 2, { "mesh.model": 2 })).toEqual(await planned(file, "model=2"));
    await expectSameRun(one, two);
  });

  test.each<[string, Record<string, number>, object]>([
    // The balance over a batch is that of all ranks' tokens.
    ["data", {}, { balance: "batch" }],
    ["expert", { "mesh.expert": 2 }, {}],
    ["model", { "mesh.model": 2 }, {}],
  ])("gradients of one step over two %s ranks are those of one process within 1e-5", async (axis, mesh, more) => {
    // After one step of AdamW its first moment is a tenth of the gradient.
    const file = await writeTinyPipeline(join(folder, `gradients-${axis}`), {
      ...keys,
      steps: 1,
      model: { ...tiny, switch: { experts: 2, every: 1, group: "sequence", jitter: 0, ...more } },
      optimizer: { algorithm: "adamw", learningRate: { schedule: "constant", base: 0.01 } },
    });
    const [one, two] = ["one", "two"].map((name) => join(folder, `gradients-${axis}`, name));
    await train(file, one, 1, {});
    const counted = await train(file, two, 2, mesh);
    await expectSameTensors(one, two, "optimizer", 1e-5);
    if (axis === "data") expect(counted).toEqual(await planned(file, "data=2"));
  });

  test.each<[string, object]>([
    ["adafactor", {}],
    ["adamw", { clipNorm: 0.5 }],
    ["muon", {}],
  ])(
    "%s: two ranks that share its state train as two that do not, to the bit but for clipping",
    async (algorithm, more) => {
      const file = await writeTinyPipeline(join(folder, algorithm), {
        ...keys,
        steps: 3,
        model: { ...tiny, switch: { experts: 3, every: 1, group: "sequence", jitter: 0 } },
        optimizer: { algorithm, learningRate: { schedule: "constant", base: 0.01 }, ...more },
      });
      const [all, shared] = ["all", "shared"].map((name) => join(folder, algorithm, name));
      await train(file, all, 2, {});
      expect(await train(file, shared, 2, { "mesh.zero": 1 })).toEqual(await planned(file, "data=2,zero=1"));
      await expectSameTensors(all, shared, "", "clipNorm" in more ? 1e-5 : 0);
      const [own, rest] = await Promise.all([1, 2].map((rank) => tensorsOf(shared, `optimizer-0000${rank}`)));
      const [mine, others] = [own, rest].map((some) => [...some.values()].reduce((sum, { length }) => sum + length, 0));
      // A third of the model is one matrix.
      expect(Math.max(mine, others) / (mine + others)).toBeLessThan(algorithm === "adamw" ? 0.52 : 0.75);
    },
  );

  test("four ranks that share their optimizer's state, then three, then one that shares it with nobody: the run of one process", async () => {
    const model = { ...tiny, switch: { experts: 4, every: 1, group: "sequence", jitter: 0 } };
    const optimizer = { algorithm: "adamw", clipNorm: 0.5, learningRate: { schedule: "constant", base: 0.01 } };
    const file = await writeTinyPipeline(join(folder, "zero"), { ...keys, model, optimizer });
    const [one, many] = ["one", "many"].map((name) => join(folder, "zero", name));
    await train(file, one, 1, {});
    const counted = await train(file, many, 4, { steps: 3, "mesh.expert": 2, "mesh.zero": 1 });
    expect(counted).toEqual(await planned(file, "data=2,expert=2,zero=1"));
    await train(file, many, 3, { steps: 6, "mesh.zero": 1 });
    await train(file, many, 1, {});
    await expectSameRun(one, many);
  });

  test("what cannot be split is refused before any work", async () => {
    const file = await writeTinyPipeline(join(folder, "wrong"), { ...keys, model: { ...tiny, switch: null } });
    for (const [set, code] of [
      ["mesh.expert=2", "world-not-fitting"],
      ["mesh.data=3", "world-not-fitting"],
    ]) {
      const { status, stderr } = await runMswitch(["pretrain", file, "--processes", "2", "--set", set]);
      expect([status, stderr]).toEqual([2, expect.stringContaining(`[${code}]`)]);
    }
    const sets = ["mesh.model=2", "optimizer={algorithm: muon, learningRate: {schedule: constant, base: 0.01}}"];
    const flags = sets.flatMap((set) => ["--set", set]);
    const { status, stderr } = await runMswitch(["pretrain", file, "--processes", "2", ...flags]);
    expect([status, stderr]).toEqual([2, expect.stringContaining("[optimizer-not-split]")]);
    const from = join(folder, "gradients-model", "one");
    const taught = ["--set", "mesh.model=2", "--set", `teacher={from: ${from}, weight: 0.25}`];
    const pupil = await runMswitch(["distill", file, "--processes", "2", ...taught]);
    expect([pupil.status, pupil.stderr]).toEqual([2, expect.stringContaining("[mesh-teacher]")]);
  });
});

/** A pipeline of eight experts and eight sequences a batch. */
const eightExperts = (name: string, more: object = {}): Promise<string> =>
  writeTinyPipeline(join(folder, name), {
    ...keys,
    model: { ...tiny, switch: { experts: 8, every: 1, group: "sequence" } },
    stream: { ...keys.stream, batchSize: 8 },
    ...more,
  });

test("ranks of a world that is not there hold and call what is planned", async () => {
  const file = await eightExperts("simulated");
  const world = ["--simulate-world", "16", "--mesh", "expert=8,model=2"];
  const { status, stdout, stderr } = await runMswitch(["plan", file, ...world, "--json"]);
  expect(status, stderr).toBe(0);
  const { ranks } = JSON.parse(stdout) as {
    ranks: { rank: number; parameters: number; collectives: { kind: string; axis: string; bytes: number }[] }[];
  };
  expect(ranks.map(({ rank }) => rank)).toEqual([0, 15]);
  const plan = await planned(file, "expert=8,model=2");
  for (const { collectives } of ranks) {
    const exchanged = collectives.filter(({ kind }) => kind === "exchange").reduce((sum, { bytes }) => sum + bytes, 0);
    expect(exchanged).toBe(plan["all-to-all of 8"]);
  }
});

test("ranks that share their optimizer's state hold and call what is planned, each group the same", async () => {
  const file = await eightExperts("simulated-zero", { optimizer: { minFactoredSize: 8 } });
  const simulated = async (size: number, mesh: string) => {
    const { status, stdout, stderr } = await runMswitch([
      ...["plan", file, "--simulate-world", String(size), "--mesh", mesh, "--json"],
    ]);
    expect(status, stderr).toBe(0);
    return (
      JSON.parse(stdout) as {
        ranks: { rank: number; stateBytes: number; collectives: { kind: string; bytes: number }[] }[];
      }
    ).ranks;
  };
  const { stdout } = await runMswitch(["plan", file, "--mesh", "data=2,expert=2,zero=1", "--json"]);
  const { memory } = JSON.parse(stdout) as { memory: { weights: number; optimizer: number } };
  const ranks = await simulated(4, "data=2,expert=2,zero=1");
  expect(Math.max(...ranks.map(({ stateBytes }) => stateBytes))).toBe(memory.weights + memory.optimizer);
  // Adafactor's sums along `model` are of what a rank updates: other ones in other groups.
  const eight = await simulated(8, "data=2,expert=2,model=2,zero=1");
  expect(eight.map(({ rank }) => rank)).toEqual([0, 1, 2, 4, 7]);
  const plan = await planned(file, "data=2,expert=2,model=2,zero=1");
  for (const [kind, name] of [
    ["sum to ", "reduce"],
    ["broadcast from ", "broadcast"],
  ]) {
    const called = eight[0].collectives.filter((one) => one.kind.startsWith(kind));
    const given = called.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(given).toBe(plan[`${name} of 2`] + plan[`${name} of 4`]);
  }
});
