import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { torchStatus } from "@mswitch/tfjs-backend-torch";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const native = join(root, "packages", "tfjs-backend-torch", "native");
const vitest = join("node_modules", "vitest", "vitest.mjs");

// npm run check:emulated: all tests that run on the path for CUDA. Else a part that CI has time for.
const whole = process.env.MSWITCH_EMULATED_CUDA !== undefined;
const torch = torchStatus();
// An addon built for CUDA has no objects for the CPU to share; it has a device to test on.
const canBuild = torch.available && !torch.info.cudaBuild;

const part = ["test/deviceParity.test.ts"];
const all = [
  ...["src/ops", "src/model/generate", "src/eval/evaluateModel.test.ts", ...part],
  ...["lossAndGradients", "switchFeedForward", "parameters"].map((name) => `src/model/${name}.test.ts`),
  ...["step", "optimizer", "accumulate"].map((name) => `src/train/${name}.test.ts`),
];
// What tests run on elsewhere, they run on torch alone here.
const onTorch = { MSWITCH_TEST_BACKENDS: "torch", MSWITCH_TEST_DEVICE: "torch" };

interface Report {
  numPassedTests: number;
  testResults: { assertionResults: { status: string; fullName: string; failureMessages: string[] }[] }[];
}

const launches = readdirSync(join(native, "cuda"))
  .filter((name) => name.endsWith(".cu"))
  .flatMap((name) => readFileSync(join(native, "cuda", name), "utf8").split("\n}\n"))
  .flatMap((body) =>
    [...body.matchAll(/\blaunch\("(\w+)"/g)].map(([, name]) => ({ name, hasTypes: body.includes("remove_pointer_t") })),
  );

/** Where operations ask whether they are on CUDA, as "t5/attention.cc:70". */
const branches = readdirSync(native, { recursive: true, encoding: "utf8" })
  .filter((file) => /\.(cc|h)$/.test(file) && !file.endsWith("device.h"))
  .flatMap((file) =>
    readFileSync(join(native, file), "utf8")
      .split("\n")
      .flatMap((line, i) => (/\bonCuda\(/.test(line) ? [`${file}:${i + 1}`] : [])),
  );

describe.skipIf(!canBuild)("the path for CUDA, run on the CPU", () => {
  let addon = "";
  const folder = mkdtempSync(join(tmpdir(), "mswitch-emulated-"));
  const list = join(folder, "entered");
  const run = (args: string[]) =>
    spawnSync(process.execPath, args, {
      cwd: root,
      encoding: "utf8",
      env: { ...process.env, TFJS_TORCH_ADDON: addon, TFJS_TORCH_ENTERED: list, ...onTorch },
      maxBuffer: 1 << 26,
    });
  const entered = () => (existsSync(list) ? readFileSync(list, "utf8").trim().split("\n") : []);

  beforeAll(() => {
    const script = join("packages", "tfjs-backend-torch", "scripts", "emulateCuda.mjs");
    const { status, stdout, stderr } = spawnSync(process.execPath, [script], { cwd: root, encoding: "utf8" });
    expect(status, stderr).toBe(0);
    addon = stdout.trim();
  }, 1_800_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("operations, dense and Switch models and training steps give what their references give", () => {
    // One process for all files: TensorFlow.js is loaded once.
    const file = join(folder, "report.json");
    const options = [
      "run",
      "--reporter=json",
      `--outputFile=${file}`,
      "--maxWorkers=1",
      "--no-isolate",
      "--testTimeout=600000",
    ];
    const { stderr, status } = run([vitest, ...options, ...(whole ? all : part)]);
    expect(existsSync(file), stderr).toBe(true);
    const report = JSON.parse(readFileSync(file, "utf8")) as Report;
    const failed = report.testResults
      .flatMap(({ assertionResults }) => assertionResults)
      .filter((one) => one.status === "failed")
      .map((one) => `${one.fullName}: ${one.failureMessages[0]}`);
    expect(failed).toEqual([]);
    expect(status).toBe(0);
    expect(report.numPassedTests).toBeGreaterThan(whole ? 200 : 5);
  }, 1_800_000);

  it("gives Transformers' numbers", () => {
    const cli = join("test", "golden", "goldenCli.ts");
    const { stdout, stderr } = run([
      ...[join("scripts", "runTs.mjs"), cli, join("eval", "golden"), "--backend", "torch"],
    ]);
    expect(stdout, stderr).toMatch(/6 of 6 cases pass/);
  }, 1_800_000);

  it.runIf(whole)(
    "passes TensorFlow.js's own tests",
    () => {
      const { status, stdout, stderr } = run([join("packages", "tfjs-backend-torch", "conformance", "run.mjs")]);
      expect(status, stdout + stderr).toBe(0);
    },
    1_800_000,
  );

  it("no kernel and no element type of one was left out", () => {
    const lines = entered();
    const missing = launches.flatMap(({ name, hasTypes }) => {
      const seen = lines.filter((line) => line.startsWith(`${name} `));
      const inBfloat16 = seen.filter((line) => line.includes("__nv_bfloat16"));
      if (seen.length === 0) return [name];
      return hasTypes && (inBfloat16.length === 0 || inBfloat16.length === seen.length) ? [`${name}: one type`] : [];
    });
    expect(missing).toEqual([]);
  });

  it.runIf(whole)("no branch for CUDA was left out", () => {
    const places = new Set(entered().map((line) => line.replace(/^.*\/native\//, "")));
    expect(branches.filter((one) => !places.has(one))).toEqual([]);
  });
});
