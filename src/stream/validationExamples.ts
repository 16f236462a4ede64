import { createHash } from "node:crypto";
import { MswitchError } from "../base/errors.js";
import { randomStream } from "../base/random.js";
import type { TokenDataset } from "../dataset/read/tokenDataset.js";
import { requireZeroPadding } from "../vocab/loadVocabulary.js";
import type { ExampleShape, ValidationExamples } from "./batch.js";
import { exampleSource } from "./objectives/exampleSource.js";

export interface ValidationOptions extends ExampleShape {
  /** At most this many rows; fewer where the language has fewer segments. */
  examples: number;
  /** The split that they are of; `validation` where left out. */
  split?: "validation" | "test";
  /** The evaluation's own seed, not the training's: runs with different training seeds see the same rows. */
  seed?: number;
}

/**
 * The fixed examples on which a language's quality is measured: the same rows at every evaluation of every run on the dataset,
 * evenly spread over the language's validation run.
 *
 * @throws MswitchError where the language has fewer than two validation tokens; see `usableLanguages(dataset, "validation")`
 */
export function validationExamples(
  dataset: TokenDataset,
  language: string,
  { examples, split = "validation", seed = 0, ...shape }: ValidationOptions,
): ValidationExamples {
  const source = exampleSource(dataset, split, shape);
  const { lengths } = source;
  requireZeroPadding(dataset.vocabulary);
  const segments = source.count(language);
  if (segments === 0) {
    throw new MswitchError(`no validation example can be made for ${language}`, {
      code: "language-without-text",
      where: dataset.dir,
      why: `it has ${dataset.run(language, split).tokens} ${split} tokens, an example needs two`,
    });
  }
  const batchSize = Math.min(examples, segments);
  const inputs = new Int32Array(batchSize * lengths.inputs);
  const targets = new Int32Array(batchSize * lengths.targets);
  for (let row = 0; row < batchSize; row++) {
    const segment = Math.floor((row * segments) / batchSize);
    source.write(
      language,
      segment,
      randomStream(seed, "validation", language, segment),
      inputs.subarray(row * lengths.inputs, (row + 1) * lengths.inputs),
      targets.subarray(row * lengths.targets, (row + 1) * lengths.targets),
    );
  }
  return { language, batchSize, lengths, inputs, targets };
}

/** SHA-256 over all languages' examples, in hex: two runs whose hashes agree were measured on the same rows. */
export function hashValidationExamples(sets: Iterable<ValidationExamples>): string {
  const hash = createHash("sha256");
  for (const { language, batchSize, lengths, inputs, targets } of sets) {
    hash.update(`${language} ${batchSize} ${lengths.inputs} ${lengths.targets}\n`);
    for (const ids of [inputs, targets]) hash.update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
  }
  return hash.digest("hex");
}
