import { join } from "node:path";
import { writeFileAtomic } from "../../base/atomicFile.js";
import type { Log } from "../../base/log.js";
import { saveModel } from "../../model/checkpoint/huggingFace.js";
import type { Parameters } from "../../model/parameters.js";
import {
  type CheckpointState,
  cardName,
  listCheckpoints,
  optimizerName,
  pruneCheckpoints,
  writeCheckpoint,
} from "../../run/checkpoint.js";
import { lastEvaluation, readEvaluations } from "../../run/runDirectory.js";
import type { EvalPoint, RunDescription } from "../../run/runFiles.js";
import { parseModel } from "../../vocab/sentencepiece/modelFile.js";
import { openModelFile } from "../../vocab/sentencepiece/openModelFile.js";
import { type TokenizerFiles, tokenizerFault, transformersTokenizer } from "../../vocab/transformersTokenizer.js";
import type { Optimizer } from "../optimizer.js";
import type { PreparedRun } from "../setup/prepareRun.js";
import { bestEvaluation } from "./bestEvaluation.js";
import { modelCard } from "./modelCard.js";

export interface CheckpointWriterOptions {
  run: PreparedRun;
  description: RunDescription;
  params: Parameters;
  optimizer: Optimizer;
  /** `identityHash` of the run. */
  configuration: string;
  log: Log;
}

/** Writes a run's checkpoints: weights, moments, state, tokenizer and model card. */
export interface CheckpointWriter {
  /** @returns its folder */
  write(step: number, trainSeconds: number | undefined): Promise<string>;
  /** Writes the card of a checkpoint again, where there is one of that step: an evaluation that a signal cut off was made up for. */
  describe(point: EvalPoint): Promise<void>;
}

export function createCheckpointWriter(options: CheckpointWriterOptions): CheckpointWriter {
  const { run, description, params, optimizer, configuration, log } = options;
  const { config, model, dataset, paths } = run;
  let tokenizer: { files: TokenizerFiles; fault: string | undefined } | undefined;
  const loadTokenizer = (): NonNullable<typeof tokenizer> => {
    if (tokenizer) return tokenizer;
    const vocabulary = parseModel(openModelFile(dataset.vocabulary.path));
    const fault = tokenizerFault(vocabulary);
    if (fault) log.warn(`checkpoints have no tokenizer for Transformers: ${fault}`);
    tokenizer = { files: fault ? new Map() : transformersTokenizer(vocabulary), fault };
    return tokenizer;
  };
  const cardOf = (step: number, point: EvalPoint | undefined): string =>
    modelCard({
      description,
      config,
      model,
      manifest: dataset.manifest,
      step,
      point,
      noTokenizer: loadTokenizer().fault,
    });

  return {
    async write(step, trainSeconds) {
      const state: Omit<CheckpointState, "format"> = { step, seed: config.seed, configuration };
      const point = await lastEvaluation(paths);
      const { directory } = await writeCheckpoint(paths.checkpoints, state, trainSeconds, async (folder) => {
        const written = await saveModel(folder, model, params);
        written.set(optimizerName, await optimizer.save(join(folder, optimizerName)));
        for (const [file, content] of loadTokenizer().files) await writeFileAtomic(join(folder, file), content);
        await writeFileAtomic(join(folder, cardName), cardOf(step, point));
        return written;
      });
      const keep = config.evaluation.best && bestEvaluation(await readEvaluations(paths), config.evaluation.best)?.step;
      await pruneCheckpoints(paths.checkpoints, { ...config.checkpoints, keep });
      log.info(`checkpoint ${directory}`);
      return directory;
    },
    async describe(point) {
      const checkpoint = (await listCheckpoints(paths.checkpoints)).find(({ step }) => step === point.step);
      if (checkpoint) await writeFileAtomic(join(checkpoint.directory, cardName), cardOf(point.step, point));
    },
  };
}
