import { type Log, silentLog } from "../base/log.js";
import type { Encoder } from "./encoder.js";
import { createLibraryEncoder } from "./libraryEncoder.js";
import { readModelFile, type SentencePieceModel } from "./modelFile.js";
import { cachedPieceTrie } from "./trieCache.js";
import { UnigramEncoder } from "./unigramEncoder.js";

/**
 * Makes the encoder of a SentencePiece model: ours for unigram models, SentencePiece's own (slower, through WebAssembly) for the
 * other model types. Both give SentencePiece's ids.
 *
 * @param model a `.model` file's path, or the model read from it
 * @param log is told once where the slower encoder is taken
 * @throws MswitchError where the file is no whole model
 */
export async function createEncoder(model: string | SentencePieceModel, log: Log = silentLog): Promise<Encoder> {
  const read = typeof model === "string" ? readModelFile(model) : model;
  const { modelType } = read.trainer;
  if (modelType === "unigram") return new UnigramEncoder(read, await cachedPieceTrie(read));
  log.info(`${read.path}: a ${modelType} model, encoded by sentencepiece-js; the fast encoder is for unigram models`);
  return createLibraryEncoder(read.path);
}
