import { usageError } from "../../base/errors.js";
import type { Log } from "../../base/log.js";
import { loadModel, readModelConfig } from "../../model/checkpoint/huggingFace.js";
import type { ModelConfig } from "../../model/config.js";
import { countParameters } from "../../model/count.js";
import type { Teacher } from "../../model/teacher.js";
import { modelTitle } from "../../plan/planTraining.js";
import type { RunDescription } from "../../run/runFiles.js";
import type { Vocabulary } from "../../vocab/vocabulary.js";
import type { RunConfig } from "../config/runConfig.js";
import { findStart, modelDirectory } from "./findStart.js";

/** A teacher before its weights are read. */
export interface FoundTeacher {
  directory: string;
  /** SHA-256 over its weights. */
  weights: string;
  /** What `run.json` says of it. */
  description: NonNullable<RunDescription["teacher"]>;
  /** Reads the weights; they are the caller's to free. */
  load(): Promise<Teacher>;
}

/**
 * Looks at the model that a run learns from, and holds its vocabulary against the dataset's and the student's.
 *
 * @throws usageError where it is absent, another than the run began with, or of another vocabulary
 */
export async function findTeacher(
  teacher: NonNullable<RunConfig["teacher"]>,
  student: ModelConfig,
  vocabulary: Vocabulary,
  log: Log,
): Promise<FoundTeacher> {
  const { from, weight, temperature } = teacher;
  // A run without its teacher cannot go on: that is said here, whatever it began with.
  const directory = await modelDirectory(from);
  const { weights, rows } = await findStart({ from, weights: teacher.weights }, vocabulary, log);
  const { config } = await readModelConfig(directory);
  if (config.vocabSize !== student.vocabSize || rows?.some((row, id) => row !== id)) {
    throw usageError("teacher and student have different vocabularies", {
      code: "vocabulary-teacher-mismatch",
      where: directory,
      why: `its tables have ${config.vocabSize} rows, the student's ${student.vocabSize}`,
      hint: "take a teacher that was trained with the dataset's vocabulary",
    });
  }
  return {
    directory,
    weights,
    description: {
      ...{ model: modelTitle(config), experts: config.switch?.experts ?? 0 },
      ...{ parameters: countParameters(config).total, weights, weight, temperature },
    },
    async load() {
      const loaded = await loadModel(directory);
      return { ...loaded, config: { ...loaded.config, precision: student.precision }, weight, temperature };
    },
  };
}
