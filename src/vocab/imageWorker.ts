import { parentPort, workerData } from "node:worker_threads";
import { type ErrorDetails, MswitchError } from "../base/errors.js";
import { buildImage } from "./buildImage.js";
import type { EncoderImage } from "./layOutImage.js";
import { parseModel } from "./modelFile.js";
import type { ModelFile } from "./openModelFile.js";

/** What the thread answers once: the image, undefined for a model that is not unigram, or the fault of the model. */
export type ImageAnswer = { image: EncoderImage | undefined } | { what: string; details: ErrorDetails };

if (!parentPort) throw new Error("imageWorker runs as a worker thread only");
parentPort.postMessage(answer(workerData as ModelFile));

function answer({ bytes, path }: ModelFile): ImageAnswer {
  try {
    const model = parseModel(bytes, path);
    return { image: model.trainer.modelType === "unigram" ? buildImage(model) : undefined };
  } catch (error) {
    if (!(error instanceof MswitchError)) throw error;
    const { what, where, why, hint } = error;
    return { what, details: { where, why, hint } };
  }
}
