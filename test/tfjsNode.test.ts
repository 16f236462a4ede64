import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findBackends } from "../src/backends/loadBackend.js";
import { packageRoot } from "../src/cli/packageRoot.js";

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
      // TensorFlow 2.21 writes one note on oneDNN before any setting reaches it, and nothing else.
      const notes = stderr
        .split("\n")
        .filter((line) => /absl::|(?<!@)tensorflow\/|cpu_feature_guard|^[IWE]\d{4} /.test(line));
      expect(notes.filter((line) => !/before absl::InitializeLog|oneDNN custom operations/.test(line))).toEqual([]);
      await pretrain(kind, `${kind}-stopped`, "steps=9");
      await pretrain(kind, `${kind}-stopped`, "steps=20");
      expect((await weights(`${kind}-stopped`)).equals(await weights(kind))).toBe(true);
    },
  );

  test("evaluates, and the golden cases of Transformers pass", async () => {
    const { stdout } = await mswitch("evaluate", join(folder, "dense"), "--backend", "tfjs-node", "--json");
    expect(JSON.parse(stdout)).toMatchObject({ step: 20 });
    const golden = ["scripts/runTs.mjs", "test/golden/goldenCli.ts", "eval/golden", "--backend", "tfjs-node"];
    expect((await run(process.execPath, golden, { cwd: packageRoot })).stdout).toContain("6 of 6 cases pass");
  });
});
