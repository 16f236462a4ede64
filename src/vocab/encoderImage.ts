import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { MswitchError } from "../base/errors.js";
import { workerUrl } from "../base/workerUrl.js";
import type { ImageAnswer } from "./imageWorker.js";
import { keptUnderFingerprint } from "./keptUnderFingerprint.js";
import type { EncoderImage } from "./layOutImage.js";
import type { ModelFile } from "./openModelFile.js";

/** Changes with all that an image is made of: what `layOutImage` writes, and what its tables mean. */
const format = "image-1";

/**
 * The image of a unigram model, kept in the user's cache directory: where it is there, the model is not even parsed. Undefined for
 * models of other types.
 *
 * @throws MswitchError where the file is no whole model
 */
export async function encoderImage({ path, bytes, fingerprint }: ModelFile): Promise<EncoderImage | undefined> {
  return keptUnderFingerprint(fingerprint, format, async () => {
    // A thread of its own gives back the 100 MB that building takes when it ends.
    const workerData = { path, bytes, fingerprint } satisfies ModelFile;
    const worker = new Worker(workerUrl("../vocab/imageWorker", import.meta.url), { workerData });
    const [answer] = (await once(worker, "message")) as [ImageAnswer];
    await worker.terminate();
    if ("what" in answer) throw new MswitchError(answer.what, answer.details);
    return answer.image;
  });
}
