import { type Backend, loadBackend } from "../../backends/loadBackend.js";
import { MswitchError, usageError } from "../../base/errors.js";
import { formatBytes, formatDuration, plural } from "../../base/format.js";
import type { Log } from "../../base/log.js";
import type { TokenDataset } from "../../dataset/read/tokenDataset.js";
import { countParameters } from "../../model/count.js";
import { leastMemory, memoryLimit } from "../../plan/trainingMemory.js";
import { type RunConfig, runConfigSchema } from "../config/runConfig.js";
import { mostEpochs } from "../probe/describeRunPlan.js";
import { probeRun } from "../probe/probeRun.js";
import { type PreparedRun, prepareRun } from "../setup/prepareRun.js";
import { type RunSize, runSizes } from "./sizes.js";

/** Small models began to read their source by step 750 (docs/results.md); a comparison needs some time after that. */
export const fewestSteps = 3000;

/** Positions a parameter outside the embeddings (Hoffmann et al. 2022, arXiv 2203.15556, found about 20 for decoders). */
const positionsPerParameter = 20;

/** Encoder positions of a step that an expert should see at least: below 300 of them experts gained nothing (docs/results.md). */
const positionsPerExpert = 1000;
const mostExperts = 128;

const evaluations = 12;

export interface ChooseRunOptions {
  dataset: TokenDataset;
  /** Folder of the dataset, as the run's file is to name it. */
  datasetPath: string;
  /** Seconds that one run may take. */
  seconds: number;
  experts?: number;
  backend?: string;
  /** What the runs are for; this machine, with `backend`, where left out. */
  machine?: Machine;
  log: Log;
}

/** What a machine does with a run. */
export interface Machine {
  backend: Pick<Backend, "name" | "description">;
  /** Bytes that the backend can have. */
  memoryLimit: number;
  /** Tries a run for a few steps: seconds of a step and of the evaluation of all languages, and the most bytes that were held. */
  tryRun(run: PreparedRun): Promise<{ stepSeconds: number; evaluationSeconds: number; peakBytes: number }>;
}

export interface ChosenRun {
  size: RunSize;
  config: RunConfig;
  prepared: Pick<PreparedRun, "plan" | "model" | "stream">;
  backend: string;
  /** Measured, of a step and of an evaluation of all languages. */
  stepSeconds: number;
  evaluationSeconds: number;
  /** Of the dense model, without embeddings. */
  denseParameters: number;
  /** Training tokens of the dataset. */
  tokens: number;
  /** Why the next larger size was not taken; undefined where this is the largest. */
  limit: string | undefined;
}

/**
 * The largest of `runSizes` that this machine trains for at least `fewestSteps` in the time, that the text suffices for, and that fits
 * into memory, with steps to fill the time: each size is tried for a few steps, from the smallest on.
 *
 * @throws usageError where not even the smallest fits into memory
 */
export async function chooseRun(options: ChooseRunOptions): Promise<ChosenRun> {
  const { dataset, seconds, log } = options;
  const machine = options.machine ?? (await thisMachine(options.backend));
  const { backend, memoryLimit: limit } = machine;
  const tokens = Object.values(dataset.manifest.languages).reduce((sum, { train }) => sum + (train?.tokens ?? 0), 0);
  let chosen: ChosenRun | undefined;
  for (const size of runSizes) {
    const config = configOf(size, options, backend.name.startsWith("torch"));
    const prepared = await prepareRun(config, dataset, log);
    const { plan, model, stream } = prepared;
    const denseParameters = countParameters({ ...model, switch: null }).activePerToken;
    const why =
      tooLittleText(denseParameters, tokens) ??
      tooSlow(chosen, plan.flopsPerStep, seconds) ??
      tooLarge(leastMemory(model, plan.parameters, size.batchSize, stream.lengths, backend.name), limit);
    if (why !== undefined && chosen) return { ...chosen, limit: `${size.title} was not tried: ${why}` };
    if (why !== undefined && !why.startsWith(textIsShort)) throw doesNotFit(size, why);
    log.info(`trying ${size.title} for a few steps`);
    const { stepSeconds, evaluationSeconds, peakBytes } = await machine.tryRun(prepared);
    const byTime = (seconds - (evaluations + 1) * evaluationSeconds) / stepSeconds;
    const notNow =
      byTime < fewestSteps ? `it does ${plural(Math.max(0, Math.floor(byTime)), "step")} in the time` : undefined;
    const noRoom = tooLarge(peakBytes, limit);
    if (chosen && (notNow ?? noRoom)) return { ...chosen, limit: `${size.title}: ${notNow ?? noRoom}` };
    const byText = (mostEpochs * tokens) / plan.tokensPerStep;
    const steps = rounded(Math.min(byTime, Math.max(fewestSteps, byText)));
    chosen = {
      size,
      config: withSteps(config, steps, prepared.examples.length),
      prepared,
      backend: `${backend.name}: ${backend.description}`,
      stepSeconds,
      evaluationSeconds,
      denseParameters,
      tokens,
      limit:
        [why, notNow && `even this one does only ${notNow.replace("it does ", "")}`].filter(Boolean).join("; ") ||
        undefined,
    };
    if (chosen.limit) return chosen;
  }
  if (!chosen) throw new MswitchError("there is no size to choose from", { code: "internal" });
  return chosen;
}

async function thisMachine(name: string | undefined): Promise<Machine> {
  const backend = await loadBackend(name);
  return {
    backend,
    memoryLimit: memoryLimit(backend),
    async tryRun(run) {
      const probe = await probeRun(run);
      try {
        const { seconds, peakBytes } = await probe.steps(run.config.stream.batchSize);
        const evaluation = await probe.evaluation();
        return { stepSeconds: seconds, evaluationSeconds: (evaluation?.seconds ?? 0) * run.examples.length, peakBytes };
      } finally {
        probe.close();
      }
    },
  };
}

function configOf(size: RunSize, { datasetPath, experts }: ChooseRunOptions, isTorch: boolean): RunConfig {
  const { model, sparse, batchSize, inputLength } = size;
  const fitting = 2 ** Math.floor(Math.log2((batchSize * inputLength) / positionsPerExpert));
  const config = runConfigSchema.parse({
    dataset: datasetPath,
    run: "runs/switch",
    model: { ...model, switch: { experts: experts ?? Math.min(fitting, mostExperts), ...sparse } },
    stream: { batchSize, inputLength },
    steps: fewestSteps,
    seed: 1,
    precision: isTorch ? "selective" : "float32",
  });
  return { ...config, name: "switch" };
}

/** The same with a number of steps, and what follows from it. */
function withSteps(config: RunConfig, steps: number, languages: number): RunConfig {
  // A higher rate than 1/√1000 was no better in the first 250 steps (docs/results.md).
  const warmupSteps = Math.min(10_000, Math.max(1000, rounded(steps / 3)));
  return {
    ...config,
    steps,
    optimizer: runConfigSchema.shape.optimizer.parse({
      learningRate: { schedule: "inverse-sqrt", base: 1, warmupSteps },
    }),
    evaluation: {
      every: rounded(steps / evaluations),
      examplesPerLanguage: Math.min(32, Math.max(8, Math.floor(800 / Math.max(1, languages)))),
    },
    checkpoints: { every: rounded(steps / 4), keepLast: 2 },
  };
}

const textIsShort = "the text is too short for it";

function tooLittleText(parameters: number, tokens: number): string | undefined {
  const wanted = positionsPerParameter * parameters;
  if (wanted <= mostEpochs * tokens) return undefined;
  return `${textIsShort}: ${formatCount(wanted / mostEpochs)} tokens would do, there are ${formatCount(tokens)}`;
}

/** By the smaller size's speed: a larger one does at best twice the FLOPs a second. */
function tooSlow(smaller: ChosenRun | undefined, flops: number, seconds: number): string | undefined {
  if (!smaller) return undefined;
  const least = (smaller.stepSeconds * flops) / smaller.prepared.plan.flopsPerStep / 2;
  if (least * fewestSteps <= seconds) return undefined;
  return `${fewestSteps.toLocaleString("en-US")} steps would take more than ${formatDuration(least * fewestSteps)}`;
}

function tooLarge(bytes: number, limit: number): string | undefined {
  return bytes <= limit ? undefined : `it takes ${formatBytes(bytes)} of memory, there are ${formatBytes(limit)}`;
}

function doesNotFit({ title }: RunSize, why: string): MswitchError {
  return usageError("no model fits this machine", {
    code: "batch-too-large",
    why: `the smallest, ${title}: ${why}`,
    hint: "another --backend, fewer --experts, or a smaller vocabulary",
  });
}

const formatCount = (value: number): string => `${(value / 1e6).toPrecision(3)} million`;

/** Down to two digits: `3400`. */
function rounded(value: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(value, 1))) - 1);
  return Math.max(1, Math.floor(value / unit) * unit);
}
