import { type Log, silentLog } from "../../base/log.js";
import { parseModel } from "../sentencepiece/modelFile.js";
import { type ModelFile, openModelFile } from "../sentencepiece/openModelFile.js";
import type { Encoder } from "./encoder.js";
import { encoderImage } from "./encoderImage.js";
import { createLibraryEncoder } from "./libraryEncoder.js";
import { UnigramEncoder } from "./unigramEncoder.js";

/**
 * Makes the encoder of a SentencePiece model: ours for unigram models, SentencePiece's own (slower, through WebAssembly) for the
 * other model types. Both give SentencePiece's ids.
 *
 * @param model a `.model` file's path, or the file as it was opened or the model read from it
 * @param log is told once where the slower encoder is taken
 * @throws MswitchError where the file is no whole model
 */
export async function createEncoder(model: string | ModelFile, log: Log = silentLog): Promise<Encoder> {
  const file = typeof model === "string" ? openModelFile(model) : model;
  const image = await encoderImage(file);
  if (image) return new UnigramEncoder(image);
  const { path } = file;
  const { modelType } = parseModel(file).trainer;
  log.info(`${path}: a ${modelType} model, encoded by sentencepiece-js; the fast encoder is for unigram models`);
  return createLibraryEncoder(path);
}
