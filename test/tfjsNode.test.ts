import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findBackends } from "../src/backends/loadBackend.js";
import { tensorFlowHome } from "../src/backends/packageBackend.js";
import { packageRoot } from "../src/cli/packageRoot.js";

import { startPretrain } from "./pretrainRun.js";

const run = promisify(execFile);
const tensorFlow = (await findBackends()).find(({ name }) => name === "tfjs-node");

/** TensorFlow's own backend, where `mswitch setup tfjs-node` or npm has put it. */
describe.skipIf(!tensorFlow?.usable)("tfjs-node", () => {
  let folder: string;
  let dataset: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "mswitch-tfjs-node-"));
    dataset = join(folder, "dataset");
    const sample = ["--source", "data/sample", "--languages", "af,am", "--vocab", "vocab/sample.model"];
    await mswitch("preprocess", ...sample, "--out", dataset);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function mswitch(...args: string[]): Promise<{ stdout: string; stderr: string }> {
    return await run(process.execPath, ["bin/run.js", ...args], { cwd: packageRoot });
  }

  const small = ["model.dModel=32", "model.dFf=64", "stream.batchSize=4", "evaluation.every=20", "logEvery=1"];
  const pretrain = (kind: string, name: string, ...sets: string[]): Promise<{ stdout: string; stderr: string }> => {
    const all = [`dataset=${dataset}`, `run=${join(folder, name)}`, "backend=tfjs-node", ...small, ...sets];
    return mswitch("pretrain", `pipelines/demo-${kind}.yaml`, "--json", ...all.flatMap((set) => ["--set", set]));
  };
  const weights = (name: string): Promise<Buffer> =>
    readFile(join(folder, name, "checkpoints", "step-00000020", "model.safetensors"));

  test.each(["dense", "switch"])(
    "20 steps of the %s model give the same bytes again, also after a stop",
    async (kind) => {
      const { stdout, stderr } = await pretrain(kind, kind, "steps=20");
      expect(JSON.parse(stdout)).toMatchObject({ step: 20 });
      const notes = stderr
        .split("\n")
        .filter((line) => /absl::|(?<!@)tensorflow\/|cpu_feature_guard|oneDNN|^[IWE]\d{4} /.test(line));
      expect(notes).toEqual([]);
      await pretrain(kind, `${kind}-stopped`, "steps=9");
      await pretrain(kind, `${kind}-stopped`, "steps=20");
      expect((await weights(`${kind}-stopped`)).equals(await weights(kind))).toBe(true);
    },
  );

  test("killed after its checkpoint at step 10, a run goes on to the same bytes", async () => {
    const sets = [`dataset=${dataset}`, "backend=tfjs-node", ...small, "steps=20", "checkpoints.every=10"];
    const options = sets.flatMap((set) => ["--set", set]);
    const killed = join(folder, "killed");
    const args = [join(packageRoot, "pipelines", "demo-dense.yaml"), "--run", killed, ...options];
    const training = startPretrain(args);
    const checkpoint = join(killed, "checkpoints", "step-00000010", "complete.json");
    for (let line = 1; !existsSync(checkpoint) && training.child.exitCode === null; line++) await training.line(line);
    training.child.kill("SIGKILL");
    await training.ended;
    expect((await startPretrain(args).ended).code).toBe(0);
    expect((await weights("killed")).equals(await weights("dense"))).toBe(true);
  });

  test("a report of its runs", async () => {
    const runs = [join(folder, "dense"), join(folder, "switch")];
    const { stdout } = await mswitch(
      "report",
      ...runs,
      "--dataset",
      dataset,
      "--out",
      join(folder, "report"),
      "--json",
    );
    expect(existsSync(JSON.parse(stdout).page)).toBe(true);
  });

  /** The user's installation once more, in a cache of its own, with its package as a copy that can be damaged. */
  async function copyInstallation(name: string): Promise<{ cache: string; copy: string }> {
    const home = tensorFlowHome("tfjs-node");
    const cache = join(folder, name);
    const modules = join(cache, "mswitch", "tfjs-node", "node_modules");
    await mkdir(join(modules, "@tensorflow"), { recursive: true });
    const link = async (from: string, to: string, but: string): Promise<void> => {
      for (const entry of await readdir(from)) if (entry !== but) await symlink(join(from, entry), join(to, entry));
    };
    await link(join(home, "node_modules"), modules, "@tensorflow");
    await link(join(home, "node_modules", "@tensorflow"), join(modules, "@tensorflow"), "tfjs-node");
    const copy = join(modules, "@tensorflow", "tfjs-node");
    await cp(join(home, "node_modules", "@tensorflow", "tfjs-node"), copy, { recursive: true, verbatimSymlinks: true });
    return { cache, copy };
  }

  // Another installation than that of `mswitch setup` would be found first.
  test.skipIf(!existsSync(join(tensorFlowHome("tfjs-node"), "node_modules"))).each([
    ["removed libraries", "lib", async (copy: string) => rm(join(copy, "deps", "lib"), { recursive: true })],
    [
      "a library that is none",
      "library",
      async (copy: string) => {
        const library = join(copy, "deps", "lib", "libtensorflow_cc.so.2");
        await rm(library);
        await writeFile(library, "no library");
      },
    ],
    [
      "a foreign binding",
      "binding",
      async (copy: string) => writeFile(join(copy, "lib", "napi-v8", "tfjs_binding.node"), "of another machine"),
    ],
    ["no binding", "none", async (copy: string) => rm(join(copy, "lib"), { recursive: true })],
  ] as const)("%s: one clear error", async (_, name, damage) => {
    const { cache, copy } = await copyInstallation(name);
    await damage(copy);
    const args = ["bin/run.js", "pretrain", "pipelines/demo-dense.yaml", "--backend", "tfjs-node"];
    const sets = ["--set", `dataset=${dataset}`, "--run", join(folder, `run-${name}`)];
    const env = { ...process.env, XDG_CACHE_HOME: cache };
    const end = await run(process.execPath, [...args, ...sets], { cwd: packageRoot, env }).catch((error) => error);
    const lines = (end.stderr as string).trim().split("\n");
    expect(lines, end.stderr).toHaveLength(2);
    expect(lines[0]).toMatch(/^error: .*tfjs-node is installed but does not load: .* \[backend-not-loadable\]$/);
    expect(lines[1]).toContain("mswitch setup tfjs-node");
  });

  test("TensorFlow.js's own tests of every operation: none fails but those listed with their reason", async () => {
    const places = [packageRoot, tensorFlowHome("tfjs-node")];
    const entry = createRequire(import.meta.url).resolve("@tensorflow/tfjs-node", { paths: places });
    const env = { ...process.env, CONFORMANCE_BACKEND: "tensorflow", CONFORMANCE_PACKAGE: entry };
    const conformance = join(packageRoot, "packages", "tfjs-backend-torch", "conformance", "run.mjs");
    // It ends with status 1 where a spec fails, and stdout names that spec.
    const { stdout } = await run(process.execPath, [conformance], { env, maxBuffer: 2 ** 26 }).catch((error) => error);
    const [, passed, failed] = /(\d+) passed, (\d+) failed, \d+ skipped\n$/.exec(stdout) ?? [];
    expect(Number(failed), stdout.slice(-4000)).toBe(0);
    expect(Number(passed)).toBeGreaterThan(3900);
  });

  test("evaluates, and the golden cases of Transformers pass", async () => {
    const { stdout } = await mswitch("evaluate", join(folder, "dense"), "--backend", "tfjs-node", "--json");
    expect(JSON.parse(stdout)).toMatchObject({ step: 20 });
    const golden = ["scripts/runTs.mjs", "test/golden/goldenCli.ts", "eval/golden", "--backend", "tfjs-node"];
    expect((await run(process.execPath, golden, { cwd: packageRoot })).stdout).toContain("6 of 6 cases pass");
  });
});
