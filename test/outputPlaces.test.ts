import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageRoot } from "../src/cli/packageRoot.js";
import { startPretrain, writeTinyPipeline } from "./pretrainRun.js";

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mswitch-places-"));
  writeFileSync(join(folder, "file"), "");
  const pipeline = await writeTinyPipeline(folder, { steps: 2, evaluation: { every: 2, examplesPerLanguage: 2 } });
  const runs = ["a", "b"].map((name) => startPretrain([pipeline, "--run", join(folder, name)]).ended);
  for (const { code, stderr } of await Promise.all(runs)) expect(code, stderr).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Places below a file, and below a folder in which the system makes none. */
const places = ["file/x", ...(process.platform === "linux" ? ["/proc/mswitch"] : [])];

test.each([
  ["preprocess --source SAMPLE --languages af --vocab VOCAB --out OUT", /^(output-unusable|write-failed)$/],
  ["vocab train --source SAMPLE --languages af --size 300 --out OUT", /^(output-unusable|trainer-not-found)$/],
  ["tasks language-id --from SAMPLE --out OUT", /^output-unusable$/],
  ["dataset inspect dataset --out OUT", /^output-unusable$/],
  ["init --dataset dataset --out OUT/run.yaml --backend cpu", /^output-unusable$/],
  ["pretrain a/config.yaml --run OUT", /^write-failed$/],
  ["evaluate a --out OUT/a.json --backend cpu", /^output-unusable$/],
  ["report a b --out OUT", /^output-unusable$/],
  ["study PIPELINES/studies/plateau.yaml --set dataset=dataset --out OUT", /^output-unusable$/],
  ["demo --out OUT --backend wasm", /^demo-step-failed$/],
] as const)("%s: a place that cannot be written is an error of a line", async (line, code) => {
  for (const place of places) {
    const words = line
      .replace("SAMPLE", join(packageRoot, "data", "sample"))
      .replace("VOCAB", join(packageRoot, "vocab", "sample.model"))
      .replace("PIPELINES", join(packageRoot, "pipelines"))
      .replace("OUT", place)
      .split(" ");
    const end = await new Promise<{ code: number; stdout: string }>((resolve) => {
      const run = [join(packageRoot, "bin", "run.js"), ...words, "--json"];
      execFile(process.execPath, run, { cwd: folder }, (error, stdout) =>
        resolve({ code: Number(error?.code ?? 0), stdout }),
      );
    });
    expect([1, 2], end.stdout).toContain(end.code);
    expect(JSON.parse(end.stdout).error.code).toMatch(code);
  }
});
