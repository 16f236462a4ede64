import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { formatCheckedLine } from "../src/base/checkedLine.js";
import { randomStream } from "../src/base/random.js";
import type { Run } from "../src/run/readRun.js";
import { type EvalPoint, type LayerRouting, type MetricsLine, runFile } from "../src/run/runFiles.js";

export interface SyntheticOptions {
  name: string;
  languages: string[];
  /** Steps at which the run was evaluated. */
  steps: number[];
  /** How many times sooner than the reference this run is, by language. */
  speed: (code: string) => number;
  examples?: number;
  experts?: number;
  layers?: string[];
  totalSteps?: number;
  flopsPerStep?: number;
  secondsPerStep?: number;
  /** Length of a curve's time scale, in steps. */
  scale?: number;
  /** Noise of a run's evaluation, nats per token. */
  noise?: number;
  /** What the right source is worth; not measured where left out. */
  sourceUse?: number;
}

const hash = (digit: string): string => digit.repeat(64);

/** A run whose curves are a known law: quality(step) = −floor − span / sqrt(1 + speed · step / scale), with the examples' own offsets. */
export function syntheticRun(options: SyntheticOptions): Run {
  const { name, languages, steps, experts = 0, flopsPerStep = 1e9, secondsPerStep = 0.5 } = options;
  const totalSteps = options.totalSteps ?? steps[steps.length - 1];
  const points = steps.map((step) => evalPoint(options, step));
  // Every evaluated step has a line, as training writes it.
  const spread = Array.from({ length: 20 }, (_, i) => Math.round(((i + 1) / 20) * steps[steps.length - 1]));
  const logged = [...new Set([...spread, ...steps])].filter((step) => step > 0).sort((a, b) => a - b);
  const metrics = logged.map((step): MetricsLine => {
    return {
      step,
      trainSeconds: step * secondsPerStep,
      loss: 3,
      negLogPerplexity: -3,
      gradNorm: 1,
      learningRate: 0.01,
      tokensPerSecond: 8192 / secondsPerStep,
      dataWait: 0.01,
      flopsPerSecond: flopsPerStep / secondsPerStep,
      memoryBytes: 5e8,
    };
  });
  return {
    dir: name,
    description: {
      name,
      model: experts > 0 ? `Switch-mT5, ${experts} experts` : "mT5",
      experts,
      parameters: 3_000_000 * Math.max(experts, 1),
      flopsPerStep,
      tokensPerStep: 8192,
      totalSteps,
      backend: "wasm",
      vocabulary: hash("a"),
      dataset: hash("b"),
      evalExamples: hash("c"),
      seed: 1,
      epochs: Object.fromEntries(languages.map((code, i) => [code, 0.5 + (i % 7)])),
      trainTokens: Object.fromEntries(languages.map((code, i) => [code, 20_000 * (1 + (i % 11))])),
    },
    metrics,
    damagedMetrics: [],
    points,
    config: `name: ${name}\nseed: 1\n`,
    environment: JSON.stringify({ node: "v20.0.0" }, null, 2),
  };
}

function evalPoint(options: SyntheticOptions, step: number): EvalPoint {
  const { name, languages, speed, examples = 16, scale = 100, noise = 0, sourceUse } = options;
  const entries = languages.map((code, i) => {
    const own = randomStream("examples", code);
    const ours = randomStream("run", name, code, step);
    const shift = noise * ours.normal();
    const quality = -(2 + 0.01 * (i % 50)) - 5 / Math.sqrt(1 + (speed(code) * step) / scale) + shift;
    const tokens = Array.from({ length: examples }, () => 20 + own.integer(10));
    const logProbs = tokens.map((count) => count * (quality + 0.3 * own.normal() + 3 * noise * ours.normal()));
    const total = tokens.reduce((sum, count) => sum + count, 0);
    return [
      code,
      {
        negLogPerplexity: logProbs.reduce((sum, x) => sum + x, 0) / total,
        ...(sourceUse === undefined ? {} : { sourceUse }),
        exampleLogProbs: logProbs,
        exampleTokens: tokens,
      },
    ] as const;
  });
  return { step, languages: Object.fromEntries(entries), routing: routing(options, step) };
}

function routing(
  { languages, experts = 0, layers = ["encoder.1", "decoder.1"] }: SyntheticOptions,
  step: number,
): LayerRouting[] {
  if (experts === 0) return [];
  return layers.map((layer) => ({
    layer,
    fractionDropped: 0.2 / (1 + step / 50),
    expertShare: Object.fromEntries(
      languages.map((code, i) => {
        const random = randomStream("routing", layer, code);
        const raw = Array.from({ length: experts }, (_, e) => 0.3 + random.float() + (e === i % experts ? 2.5 : 0));
        const sum = raw.reduce((a, b) => a + b, 0);
        return [code, raw.map((x) => x / sum)];
      }),
    ),
  }));
}

/** Writes a run's files as a training run would. */
export async function writeRun(run: Run, dir: string): Promise<void> {
  const files: Record<string, string> = {
    [runFile.description]: JSON.stringify(run.description),
    [runFile.metrics]: run.metrics.map(formatCheckedLine).join(""),
    [runFile.config]: run.config,
    [runFile.environment]: run.environment,
  };
  for (const point of run.points) files[runFile.evalPoint(point.step)] = JSON.stringify(point);
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), text);
  }
}
