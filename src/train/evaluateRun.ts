import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { loadBackend } from "../backends/loadBackend.js";
import { writeFileAtomic } from "../base/atomicFile.js";
import { usageError } from "../base/errors.js";
import { requireWritableFile } from "../base/files/makeDirectory.js";
import { plural } from "../base/format.js";
import type { Log } from "../base/log.js";
import { splitTaskLanguage } from "../corpus/shards/discoverPairs.js";
import { openDataset } from "../dataset/read/openDataset.js";
import type { TokenDataset } from "../dataset/read/tokenDataset.js";
import { evaluateModel } from "../eval/evaluateModel.js";
import { generatedMetrics } from "../eval/generatedMetrics.js";
import { loadModel } from "../model/checkpoint/huggingFace.js";
import type { ModelConfig } from "../model/config.js";
import { disposeParameters, type Parameters } from "../model/parameters.js";
import { verifyCheckpoint } from "../run/checkpoint.js";
import { findCheckpoint } from "../run/findCheckpoint.js";
import { evaluationPath, type RunPaths, readDescription, runPaths, writeEvaluation } from "../run/runDirectory.js";
import type { EvalPoint } from "../run/runFiles.js";
import type { ValidationExamples } from "../stream/batch.js";
import { usableLanguages } from "../stream/objectives/segments.js";
import { hashValidationExamples, validationExamples } from "../stream/validationExamples.js";
import { createDecoder } from "../vocab/encode/createDecoder.js";
import { resolveModel } from "./config/resolveModel.js";
import { type RunConfig, readRunConfig } from "./config/runConfig.js";
import { evaluatedLanguages, shapeOf } from "./setup/prepareRun.js";

export interface EvaluateRunOptions {
  /** A step, or `latest`. */
  checkpoint: string;
  /** The run's own languages where left out. */
  languages?: string[];
  /** Examples a language; the run's own number where left out. */
  examples?: number;
  backend?: string;
  /** Folder of another dataset of the same vocabulary; the run's own where left out. */
  dataset?: string;
  /** `test` measures on that split instead: of pairs. */
  split?: "validation" | "test";
  /** Of pairs: also write a text for each example, and measure F1 and chrF. */
  generate?: boolean;
  /** false: every token reaches its expert, whatever capacity the model has in evaluation; left out or true: as the run says. */
  capacity?: boolean;
  /** File that the evaluation is also written to. */
  out?: string;
  log: Log;
}

export interface RunEvaluation {
  point: EvalPoint;
  /** Checkpoint's folder. */
  checkpoint: string;
  backend: string;
  /** Files that were written. */
  written: string[];
}

/**
 * Evaluates a checkpoint of a run. Measured on the run's own examples, a step that has no evaluation yet gets one in the run
 * directory, where the report finds it; with other languages, examples, data or capacity nothing is put there.
 *
 * @throws usageError where there is no such run or checkpoint, or its dataset has changed; MswitchError for a damaged checkpoint
 */
export async function evaluateRun(directory: string, options: EvaluateRunOptions): Promise<RunEvaluation> {
  const { log, out } = options;
  const paths = runPaths(resolve(directory));
  if (!existsSync(paths.config)) {
    throw usageError("this is no run directory", {
      code: "not-a-run",
      where: directory,
      why: "it has no config.yaml",
      hint: "give the directory that mswitch pretrain wrote",
    });
  }
  const config = await readRunConfig(paths.config, { dataset: options.dataset });
  const checkpoint = await findCheckpoint(paths, options.checkpoint);
  await verifyCheckpoint(checkpoint);
  const dataset = await openDataset(config.dataset);
  try {
    const sets = examplesOf(dataset, config, options);
    if (out !== undefined) requireWritableFile(out, "the evaluation", "evaluation.json");
    const ownExamples = await isOwnEvaluation(paths, dataset, sets);
    const backend = await loadBackend(options.backend ?? config.backend);
    log.info(`backend ${backend.name}: ${backend.description}`);
    log.info(`checkpoint ${checkpoint.directory}, ${plural(sets.length, "language")}`);
    // Routing groups and capacities are the pipeline's: a checkpoint's config.json has no place for them.
    const own = resolveModel(config, dataset.vocabulary);
    const model = options.capacity === false ? withoutCapacity(own) : own;
    const { params } = await loadModel(checkpoint.directory);
    try {
      const point = await evaluateModel(model, params, sets, checkpoint.step, {
        withMatches: config.objective === "pairs",
      });
      if (options.generate) await addGenerated(point, model, params, sets, dataset);
      const written: string[] = [];
      // An evaluation of this step that the training wrote is what the report should go by, whatever the backend here.
      if (ownExamples && model === own && !options.generate && !existsSync(evaluationPath(paths, point.step))) {
        await writeEvaluation(paths, point);
        written.push(evaluationPath(paths, point.step));
      }
      if (out !== undefined) {
        await writeFileAtomic(out, `${JSON.stringify(point)}\n`);
        written.push(out);
      }
      return { point, checkpoint: checkpoint.directory, backend: backend.name, written };
    } finally {
      disposeParameters(params);
    }
  } finally {
    dataset.close();
  }
}

async function addGenerated(
  point: EvalPoint,
  model: ModelConfig,
  params: Parameters,
  sets: readonly ValidationExamples[],
  dataset: TokenDataset,
): Promise<void> {
  if (dataset.manifest.content !== "pairs") {
    throw usageError("texts are written for text-to-text pairs alone", {
      code: "dataset-objective-mismatch",
      where: dataset.dir,
      hint: "leave --generate out",
    });
  }
  const decoder = createDecoder(dataset.vocabulary.path);
  const { eosId } = dataset.vocabulary;
  for (const set of sets) {
    const { language: code } = splitTaskLanguage(set.language);
    const quality = point.languages[set.language];
    quality.metrics = { ...quality.metrics, ...(await generatedMetrics(model, params, set, { decoder, eosId, code })) };
  }
}

function withoutCapacity(model: ModelConfig): ModelConfig {
  if (!model.switch) return model;
  return { ...model, switch: { ...model.switch, capacity: { train: 1, evaluation: "none" } } };
}

function examplesOf(
  dataset: TokenDataset,
  config: RunConfig,
  { languages, examples = config.evaluation.examplesPerLanguage, split = "validation" }: EvaluateRunOptions,
): ValidationExamples[] {
  const usable = usableLanguages(dataset, split);
  const missing = languages?.find((code) => !usable.includes(code));
  if (missing !== undefined) {
    throw usageError(`the dataset has no ${split} text in ${missing}`, {
      code: "language-not-in-dataset",
      where: dataset.dir,
      why: `it has some in ${usable.join(", ")}`,
    });
  }
  if (usable.length === 0) {
    throw usageError(`the dataset has no ${split} text`, {
      code: "no-validation-text",
      where: dataset.dir,
      hint: `preprocess the ${split} split too (--split train,${split})`,
    });
  }
  const chosen = languages ?? evaluatedLanguages(config);
  const evaluated = usable.filter((code) => chosen?.includes(code) ?? true);
  if (evaluated.length === 0) {
    throw usageError(`the dataset has no ${split} text in the run's languages`, {
      code: "no-validation-text",
      where: dataset.dir,
      why: `the run has ${chosen?.join(", ")}; the dataset has some in ${usable.join(", ")}`,
      hint: "name languages of the dataset with --languages",
    });
  }
  return evaluated.map((code) => validationExamples(dataset, code, { examples, split, ...shapeOf(config) }));
}

/** Whether these are the very examples, by hash, that the run is evaluated on while it trains. */
async function isOwnEvaluation(paths: RunPaths, dataset: TokenDataset, sets: ValidationExamples[]): Promise<boolean> {
  const description = await readDescription(paths.description);
  if (description === undefined) return false;
  if (description.vocabulary !== dataset.manifest.vocabulary.fingerprint) {
    throw usageError("the dataset's vocabulary is not the one the run was trained with", {
      code: "vocabulary-run-mismatch",
      where: join(dataset.dir, "dataset.json"),
      hint: "preprocess the corpus again with the run's vocabulary",
    });
  }
  return description.evalExamples === hashValidationExamples(sets);
}
