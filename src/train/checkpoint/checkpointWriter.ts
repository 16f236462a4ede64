import { join } from "node:path";
import { writeFileAtomic } from "../../base/atomicFile.js";
import { MswitchError, messageOf } from "../../base/errors.js";
import type { FileContent } from "../../base/hash.js";
import type { Log } from "../../base/log.js";
import { gatherValues } from "../../distributed/modelParts.js";
import { isWhole, placementOf } from "../../distributed/placement.js";
import type { World } from "../../distributed/world.js";
import { saveModel, type WeightWriter } from "../../model/checkpoint/huggingFace.js";
import type { Parameters } from "../../model/parameters.js";
import {
  type CheckpointState,
  cardName,
  listCheckpoints,
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
  /** All of its ranks write together. */
  world: World;
}

/** Writes a run's checkpoints: weights, moments, state, tokenizer and model card. */
export interface CheckpointWriter {
  /** All ranks call it; rank 0 has written its folder when it returns. @returns the folder, or null on another rank */
  write(step: number, trainSeconds: number | undefined): Promise<string | null>;
  /** Writes the card of a checkpoint again, where there is one of that step: an evaluation that a signal cut off was made up for. */
  describe(point: EvalPoint): Promise<void>;
}

/** What a rank has written, for rank 0. */
type PartsReport = { files: [string, FileContent][] } | { failed: string };

export function createCheckpointWriter(options: CheckpointWriterOptions): CheckpointWriter {
  const { run, description, params, optimizer, configuration, log, world } = options;
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

  const { mesh, at } = world;
  const writer: WeightWriter = {
    ...{ index: at.expert, writers: mesh.expert, writes: at.model === 0 },
    values: (name) => gatherValues(params.get(name)!, placementOf(name).modelAxis, world.model),
  };
  /** What this rank holds of weights and moments; ranks of another place on the data axis hold the same weights. */
  const writeParts = async (folder: string): Promise<Map<string, FileContent>> => {
    const weights = at.data > 0 ? [] : await saveModel(folder, model, params, { writer });
    return new Map([...weights, ...(await optimizer.save(folder))]);
  };
  /** The same on all ranks. @param folder of rank 0; the others take it from there */
  const writeTogether = async (folder?: string): Promise<Map<string, FileContent>> => {
    if (isWhole(mesh) && !mesh.zero) return folder === undefined ? new Map() : writeParts(folder);
    const [where] = await world.gather(folder ?? "");
    let report: PartsReport;
    try {
      report = { files: [...(await writeParts(where))] };
    } catch (error) {
      report = { failed: messageOf(error) };
    }
    const reports = (await world.gather(JSON.stringify(report))).map((text) => JSON.parse(text) as PartsReport);
    const failed = reports.findIndex((one) => "failed" in one);
    if (failed >= 0) {
      throw new MswitchError(`rank ${failed} could not write its part of a checkpoint`, {
        code: "checkpoint-part-not-written",
        where,
        why: (reports[failed] as { failed: string }).failed,
        hint: "all ranks must see the run directory: it lies on a file system that the nodes share",
      });
    }
    return new Map(reports.flatMap((one) => ("files" in one ? one.files : [])));
  };

  return {
    async write(step, trainSeconds) {
      if (world.rank > 0) {
        await writeTogether();
        return null;
      }
      const state: Omit<CheckpointState, "format"> = { step, seed: config.seed, configuration };
      const point = await lastEvaluation(paths);
      const { directory } = await writeCheckpoint(paths.checkpoints, state, trainSeconds, async (folder) => {
        const written = await writeTogether(folder);
        for (const [file, content] of loadTokenizer().files) await writeFileAtomic(join(folder, file), content);
        await writeFileAtomic(join(folder, cardName), cardOf(step, point));
        return written;
      });
      const { best } = config.evaluation;
      const keep = best && bestEvaluation(await readEvaluations(paths), best, config.branch)?.step;
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
