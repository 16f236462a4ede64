import { parseModel, type SentencePieceModel } from "../sentencepiece/modelFile.js";
import type { ModelFile } from "../sentencepiece/openModelFile.js";
import { buildImage } from "./buildImage.js";
import { keptUnderFingerprint } from "./keptUnderFingerprint.js";
import type { EncoderImage } from "./layOutImage.js";

/** Changes with all that an image is made of: what `layOutImage` writes, and what its tables mean. */
const format = "image-3";

/**
 * The image of a unigram model, kept in the user's cache directory: where it is there, the model is not even parsed. Undefined for
 * models of other types.
 *
 * @throws MswitchError where the file is no whole model
 */
export async function encoderImage(file: ModelFile | SentencePieceModel): Promise<EncoderImage | undefined> {
  return keptUnderFingerprint(file.fingerprint, format, () => {
    const model = "trainer" in file ? file : parseModel(file);
    return model.trainer.modelType === "unigram" ? buildImage(model) : undefined;
  });
}
