import { MswitchError, usageError } from "../base/errors.js";
import { type Log, silentLog } from "../base/log.js";
import { nearest } from "../base/nearest.js";
import { randomStream } from "../base/random.js";
import type { TokenDataset } from "../dataset/read/tokenDataset.js";
import { requireZeroPadding } from "../vocab/loadVocabulary.js";
import type { Batch, ExampleLengths, ExampleStream, StreamConfig } from "./batch.js";
import { mixingProbabilities } from "./mixing.js";
import { exampleSource } from "./objectives/exampleSource.js";
import { usableLanguages } from "./objectives/segments.js";
import { permutation } from "./permutation.js";
import { createSchedule } from "./schedule.js";

/** A gibibyte of ids: beyond it the shapes are a slip of the pen. */
const mostIds = 2 ** 28;

/**
 * The training stream of a tokenized dataset, as a pure function of the step.
 *
 * Place n of the stream (n = step · batchSize + row) belongs to the language the schedule gives it. Example j of a language is
 * segment (or pair, or row of packed pairs) π(j mod segments) of its run in epoch floor(j / segments), π a permutation of that epoch; a mask is drawn anew
 * each epoch.
 *
 * @param log is told of languages left out because they have too few tokens
 * @throws usageError for lengths, sizes or languages that cannot be had
 */
export function createExampleStream(dataset: TokenDataset, config: StreamConfig, log: Log = silentLog): ExampleStream {
  const { seed, batchSize } = config;
  const source = exampleSource(dataset, "train", config);
  const { lengths } = source;
  requireZeroPadding(dataset.vocabulary);
  requireBatchSize(batchSize, lengths);
  const languages = chooseLanguages(dataset, config.languages, log);
  const runs = languages.map((language) => dataset.run(language, "train"));
  const probabilities = mixingProbabilities(config.mixing, runs);
  const schedule = createSchedule(probabilities, seed);
  const segments = languages.map((language) => source.count(language));
  const orders = languages.map((language, index) => epochOrders(segments[index], seed, language));

  const writeExample = (n: number, inputs: Int32Array, targets: Int32Array): number => {
    const { language, example } = schedule.at(n);
    const epoch = Math.floor(example / segments[language]);
    const segment = orders[language](epoch)(example % segments[language]);
    const random = randomStream(seed, "noise", languages[language], epoch, segment);
    source.write(languages[language], segment, random, inputs, targets);
    return language;
  };

  return {
    languages,
    probabilities,
    lengths,
    batch(step): Batch {
      requireStep(step, batchSize);
      const inputs = new Int32Array(batchSize * lengths.inputs);
      const targets = new Int32Array(batchSize * lengths.targets);
      const rows = Int32Array.from({ length: batchSize }, (_, row) =>
        writeExample(
          step * batchSize + row,
          inputs.subarray(row * lengths.inputs, (row + 1) * lengths.inputs),
          targets.subarray(row * lengths.targets, (row + 1) * lengths.targets),
        ),
      );
      const packed = config.packing ? { endId: dataset.vocabulary.eosId } : {};
      return { step, batchSize, lengths, inputs, targets, languages: rows, ...packed };
    },
    epochs(steps) {
      requireStep(steps, batchSize);
      return schedule.counts(steps * batchSize).map((count, language) => count / segments[language]);
    },
  };
}

/** The order of a language's segments by epoch. The last epoch's permutation is kept: it serves until the next. */
function epochOrders(segments: number, seed: number, language: string): (epoch: number) => (index: number) => number {
  let current = -1;
  let order: (index: number) => number;
  return (epoch) => {
    if (epoch !== current) {
      order = permutation(segments, seed, "order", language, epoch);
      current = epoch;
    }
    return order;
  };
}

function chooseLanguages(dataset: TokenDataset, wanted: readonly string[] | undefined, log: Log): string[] {
  const known = Object.keys(dataset.manifest.languages);
  for (const code of wanted ?? []) {
    if (known.includes(code)) continue;
    const near = nearest(code, known);
    throw usageError(`the dataset has no language "${code}"`, {
      code: "language-not-in-dataset",
      where: dataset.dir,
      hint: `${near ? `Did you mean "${near}"? ` : ""}It has: ${known.join(", ")}.`,
    });
  }
  const usable = usableLanguages(dataset, "train");
  const missing = (wanted ?? known).filter((code) => !usable.includes(code));
  const why = "a language needs at least two training tokens";
  if (wanted && missing.length > 0) {
    throw usageError(`no training example can be made for ${missing.join(", ")}`, {
      code: "language-without-text",
      where: dataset.dir,
      why,
    });
  }
  if (usable.length === 0)
    throw new MswitchError("the dataset has no training tokens", { code: "dataset-empty", where: dataset.dir });
  if (wanted?.length === 0) throw usageError("the list of languages is empty", { code: "no-language" });
  if (missing.length > 0) log.warn(`${dataset.dir}: left out, ${why}: ${missing.join(", ")}`);
  // The dataset's order, whatever order they were asked for in: the same choice gives the same batches.
  return wanted ? usable.filter((code) => wanted.includes(code)) : usable;
}

function requireBatchSize(batchSize: number, lengths: ExampleLengths): void {
  if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
    throw usageError(`a batch size of ${batchSize}`, {
      code: "batch-size-invalid",
      why: "it must be an integer of at least 1",
    });
  }
  const ids = batchSize * (lengths.inputs + lengths.targets);
  if (ids > mostIds) {
    throw usageError(`a batch of ${batchSize} examples of ${lengths.inputs} + ${lengths.targets} ids does not fit`, {
      code: "batch-too-large",
      why: `${ids} ids are more than ${mostIds}`,
      hint: "Choose a smaller batch size or input length.",
    });
  }
}

function requireStep(step: number, batchSize: number): void {
  if (!Number.isSafeInteger(step) || step < 0 || !Number.isSafeInteger((step + 1) * batchSize)) {
    throw new MswitchError(`there is no step ${step}`, { code: "step-invalid", why: "steps are counted from 0" });
  }
}
