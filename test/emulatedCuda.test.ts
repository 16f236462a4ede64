import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { torchStatus } from "@mswitch/tfjs-backend-torch";
import { beforeAll, describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const run = (program: string, args: string[], env: Record<string, string> = {}) =>
  spawnSync(program, args, { cwd: root, encoding: "utf8", env: { ...process.env, ...env }, maxBuffer: 1 << 26 });

// Every thread of a block is a fiber: more than ten minutes on two cores, so only where it is asked for.
const wanted = process.env.MSWITCH_EMULATED_CUDA !== undefined;

describe.skipIf(!wanted || !torchStatus().available)("the path for CUDA, run on the CPU", () => {
  let addon = "";
  beforeAll(() => {
    const { status, stdout, stderr } = run(process.execPath, [
      join("packages", "tfjs-backend-torch", "scripts", "emulateCuda.mjs"),
    ]);
    expect(status, stderr).toBe(0);
    addon = stdout.trim();
  }, 1_800_000);

  // "aten": what a build without nvcc does.
  it.each(["own", "aten"])(
    "operations, dense and Switch models and training steps hold with %s kernels",
    (kernels) => {
      const files = ["src/ops", "src/model", "src/train/step.test.ts", "src/train/optimizer.test.ts"];
      const { stdout, status } = run(
        process.execPath,
        [join("node_modules", "vitest", "vitest.mjs"), "run", "--reporter=json", ...files],
        { TFJS_TORCH_ADDON: addon, TFJS_TORCH_KERNELS: kernels },
      );
      const report = JSON.parse(stdout.slice(stdout.indexOf("{"))) as {
        numPassedTests: number;
        testResults: {
          name: string;
          assertionResults: { status: string; fullName: string; failureMessages: string[] }[];
        }[];
      };
      const failed = report.testResults.flatMap(({ assertionResults }) =>
        assertionResults
          .filter((one) => one.status === "failed")
          .map((one) => `${one.fullName}: ${one.failureMessages[0]}`),
      );
      expect(failed).toEqual([]);
      expect(status).toBe(0);
      expect(report.numPassedTests).toBeGreaterThan(100);
    },
    1_800_000,
  );

  it("gives Transformers' numbers", () => {
    const { stdout, stderr } = run(
      process.execPath,
      [
        join("scripts", "runTs.mjs"),
        join("test", "golden", "goldenCli.ts"),
        join("eval", "golden"),
        "--backend",
        "torch",
      ],
      { TFJS_TORCH_ADDON: addon },
    );
    expect(stdout, stderr).toMatch(/6 of 6 cases pass/);
  }, 1_800_000);
});
