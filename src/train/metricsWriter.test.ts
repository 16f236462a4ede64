import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { runPaths } from "../run/runDirectory.js";
import { runConfigSchema } from "./config/runConfig.js";
import { createMetricsWriter } from "./metricsWriter.js";

const directory = mkdtempSync(join(tmpdir(), "mswitch-metrics-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test("each kind of fault is warned of once, however often and with whatever numbers it comes", async () => {
  const warnings: string[] = [];
  const keys = {
    dataset: "tokens",
    run: "run",
    model: { preset: "tiny-switch" },
    stream: { batchSize: 1, inputLength: 8 },
    steps: 100,
  };
  const config = { ...runConfigSchema.parse(keys), name: "run" };
  const writer = await createMetricsWriter({
    ...{ paths: runPaths(directory), config, experts: 8, startStep: 0 },
    plan: { tokensPerStep: 1, flopsPerStep: 1 } as Parameters<typeof createMetricsWriter>[0]["plan"],
    log: { info: () => {}, warn: (message) => void warnings.push(message) },
  });
  const stretch = { steps: 1, seconds: 1, dataWait: 0, trainSeconds: 1 };
  const sound = { loss: 5, negLogPerplexity: -5, gradNorm: 1, learningRate: 0.01, ...stretch };
  for (const [step, values] of [
    [1, {}],
    [2, { expertLoadMax: 0.93 }],
    [3, { expertLoadMax: 0.97 }],
    [4, { expertLoadMax: 0.97, fractionDropped: 0.6 }],
    [5, { gradNorm: 0 }],
    [6, { gradNorm: 0, fractionDropped: 0.7 }],
  ] as const) {
    await writer.line({ ...sound, ...values, step });
  }
  await writer.close();
  expect(warnings.map((warning) => warning.replace(/:.*/, ""))).toEqual(["step 2", "step 4", "step 5"]);
});
