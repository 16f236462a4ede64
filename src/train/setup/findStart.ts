import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import * as z from "zod";
import { messageOf, usageError } from "../../base/errors.js";
import { sha256, sha256File } from "../../base/hash.js";
import type { Log } from "../../base/log.js";
import { cutParameters, initParts } from "../../distributed/modelParts.js";
import type { World } from "../../distributed/world.js";
import { loadModel, readModelConfig } from "../../model/checkpoint/huggingFace.js";
import type { ModelConfig } from "../../model/config.js";
import type { Parameters } from "../../model/parameters.js";
import { parametersFrom } from "../../model/parametersFrom.js";
import { findCheckpoint } from "../../run/findCheckpoint.js";
import { readDescription, readEvaluations, runPaths } from "../../run/runDirectory.js";
import { sentinelIdsOf } from "../../vocab/loadVocabulary.js";
import { parseModel, pieceText } from "../../vocab/sentencepiece/modelFile.js";
import { openModelFile } from "../../vocab/sentencepiece/openModelFile.js";
import type { Vocabulary } from "../../vocab/vocabulary.js";
import { bestEvaluation } from "../checkpoint/bestEvaluation.js";
import { type RunConfig, readRunConfig } from "../config/runConfig.js";

/** The weights that a run starts from. */
export interface Start {
  /** As the run's file names it. */
  from: string;
  /** The model's own directory; undefined where it is gone and the run has begun without it. */
  directory: string | undefined;
  /** SHA-256 over its weights. */
  weights: string;
  /** Undefined where the directory is gone: the run's file then has every key of the model. */
  model: ModelConfig | undefined;
  /** For each piece of the dataset's vocabulary the row that it has in the source, −1 where it is new; undefined: the same rows. */
  rows: Int32Array | undefined;
}

/** A tokenizer.json of 250,000 pieces has 16 MB. */
const maxTokenizerBytes = 256 * 2 ** 20;

/**
 * The directory of a model: of a run its best checkpoint where its file says by which metric, else the latest; any other directory itself.
 *
 * @throws usageError where there is none
 */
export async function modelDirectory(from: string): Promise<string> {
  const paths = runPaths(resolve(from));
  if (!existsSync(paths.description) || !existsSync(paths.config)) {
    if (existsSync(join(paths.directory, "config.json"))) return paths.directory;
    throw usageError("there is no model", {
      code: "model-not-found",
      where: from,
      why: "it is no run directory, and has no config.json",
      hint: "name a run, a checkpoint, or a directory that save_pretrained of Transformers wrote",
    });
  }
  const { evaluation, branch } = await readRunConfig(paths.config);
  const best = evaluation.best && bestEvaluation(await readEvaluations(paths), evaluation.best, branch);
  return (await findCheckpoint(paths, best ? String(best.step) : "latest")).directory;
}

/**
 * Looks at the weights that a run starts from, and holds their vocabulary against the dataset's.
 *
 * @throws usageError where they are absent, others than the run began with, or of another vocabulary
 */
export async function findStart(
  init: NonNullable<RunConfig["init"]>,
  vocabulary: Vocabulary,
  log: Log,
): Promise<Start> {
  const { from } = init;
  if (init.weights !== undefined && !existsSync(from)) {
    return { from, directory: undefined, weights: init.weights, model: undefined, rows: undefined };
  }
  const directory = await modelDirectory(from);
  const { config, weightFiles } = await readModelConfig(directory);
  const hashes: string[] = [];
  for (const file of weightFiles) hashes.push(await sha256File(file));
  const weights = sha256(hashes.join());
  if (init.weights !== undefined && init.weights !== weights) {
    throw usageError("the weights are not those that the run began with", {
      code: "init-weights-changed",
      where: directory,
      hint: "give back what was there, or begin another run",
    });
  }
  const rows = await matchVocabulary(directory, from, config, vocabulary, log);
  return { from, directory, weights, model: init.weights === undefined ? config : undefined, rows };
}

/** A rank's parts of a run's parameters before its first step: of fresh ones, or of those it starts from. */
export async function startParameters(
  { config, model, start }: { config: RunConfig; model: ModelConfig; start: Start | undefined },
  log: Log,
  world: World,
): Promise<Parameters> {
  if (!start) return initParts(model, config.seed, world);
  if (start.directory === undefined) {
    throw usageError("the weights that the run starts from are gone", {
      code: "model-not-found",
      where: start.from,
      hint: "give them back, or name where they are now: --set init.from=DIR",
    });
  }
  const source = await loadModel(start.directory);
  const rows = start.rows && tableRows(start.rows, model.vocabSize, source.config.vocabSize);
  const { params, fresh, upcycled } = parametersFrom(source.params, model, config.seed, rows);
  log.info(`  starts from ${start.directory}`);
  if (upcycled.length > 0) log.info(`  every expert is a copy of a dense layer: ${upcycled.length} parameters`);
  if (fresh.length > 0) log.info(`  drawn afresh: ${fresh.join(", ")}`);
  if (model.vocabSize !== source.config.vocabSize) {
    const kept = rows ? rows.filter((row) => row >= 0).length : 0;
    log.info(`  embeddings resized from ${source.config.vocabSize} to ${model.vocabSize} rows, ${kept} of them kept`);
  }
  return cutParameters(params, world);
}

/** Rows for a whole table: beyond the pieces they stay where they are, as far as the source has them. */
function tableRows(rows: Int32Array, size: number, sourceSize: number): Int32Array | undefined {
  const all = Int32Array.from({ length: size }, (_, id) => rows[id] ?? (id < sourceSize ? id : -1));
  return size === sourceSize && all.every((row, id) => row === id) ? undefined : all;
}

/**
 * Holds the vocabulary of a model's directory against a dataset's: one must begin with the other's pieces, sentinels aside.
 *
 * @returns see `Start.rows`
 */
async function matchVocabulary(
  directory: string,
  from: string,
  { vocabSize }: ModelConfig,
  vocabulary: Vocabulary,
  log: Log,
): Promise<Int32Array | undefined> {
  const run = runPaths(resolve(from)).description;
  if (existsSync(run) && (await readDescription(run))?.vocabulary === vocabulary.fingerprint) return undefined;
  const refused = (why: string): Error =>
    usageError("the model has another vocabulary than the dataset", {
      code: "vocabulary-init-mismatch",
      where: directory,
      why,
      hint: `preprocess the dataset with the model's vocabulary (${join(directory, "spiece.model")}), or start from another model`,
    });
  const source = await piecesOf(directory);
  if (!source) {
    if (vocabSize < vocabulary.size) {
      throw refused(
        `its tables have ${vocabSize} rows, the vocabulary ${vocabulary.size} pieces, and it has no tokenizer`,
      );
    }
    log.warn(
      `${directory} has no spiece.model and no tokenizer.json: that row n of its tables is piece n of the dataset's vocabulary cannot be checked`,
    );
    return undefined;
  }
  const wanted = piecesOfFile(vocabulary.path);
  const plain = (piece: string | undefined): string | undefined => (isSentinel(piece) ? undefined : piece);
  for (let id = 0; id < Math.min(source.length, wanted.length); id++) {
    const [there, here] = [plain(source[id]), plain(wanted[id])];
    if (there === undefined || here === undefined || there === here) continue;
    throw refused(`piece ${id} is ${JSON.stringify(there)} there and ${JSON.stringify(here)} in the dataset's`);
  }
  const byPiece = new Map(source.map((piece, id) => [bare(piece), id]));
  return Int32Array.from(wanted, (piece) => byPiece.get(bare(piece)) ?? -1);
}

const bare = (piece: string): string => (isSentinel(piece) ? piece.replace("\u2581", "") : piece);

function isSentinel(piece: string | undefined): boolean {
  return piece !== undefined && /^\u2581?<extra_id_\d+>$/.test(piece);
}

/** The pieces of a Hugging Face directory's tokenizer by id; undefined where it has none that can be read. */
async function piecesOf(directory: string): Promise<string[] | undefined> {
  const model = join(directory, "spiece.model");
  if (existsSync(model)) return piecesOfFile(model);
  const path = join(directory, "tokenizer.json");
  if (!existsSync(path)) return undefined;
  const text = await readFile(path, "utf8");
  const schema = z.object({
    added_tokens: z.array(z.object({ id: z.int().nonnegative().max(1e7), content: z.string() })).default([]),
    model: z.object({ vocab: z.array(z.tuple([z.string(), z.number()])) }),
  });
  if (text.length > maxTokenizerBytes) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw usageError("cannot be read", {
      code: "model-unreadable",
      where: path,
      why: messageOf(error),
      hint: "give back the whole file; without one, pieces are not compared",
      cause: error,
    });
  }
  const parsed = schema.safeParse(json).data;
  if (!parsed) return undefined;
  const pieces = parsed.model.vocab.map(([piece]) => piece);
  for (const { id, content } of parsed.added_tokens) pieces[id] = content;
  return pieces;
}

/** The pieces of a SentencePiece model by id, its sentinels included. */
function piecesOfFile(path: string): string[] {
  const model = parseModel(openModelFile(path));
  const pieces = Array.from({ length: model.size }, (_, id) => pieceText(model, id));
  for (const [k, id] of sentinelIdsOf(model).entries()) pieces[id] = `<extra_id_${k}>`;
  return pieces;
}
