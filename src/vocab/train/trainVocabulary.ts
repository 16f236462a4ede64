import { createReadStream } from "node:fs";
import { readFile, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { removeStaleTemporaries, temporaryName, writeFileAtomic } from "../../base/atomicFile.js";
import { usageError } from "../../base/errors.js";
import { writeError } from "../../base/files/fileSystemError.js";
import { makeDirectory, requireWritableFile } from "../../base/files/makeDirectory.js";
import { formatBytes } from "../../base/format.js";
import { sha256 } from "../../base/hash.js";
import { createEncoder } from "../encode/createEncoder.js";
import { parseModel } from "../sentencepiece/modelFile.js";
import { modelFileOf } from "../sentencepiece/openModelFile.js";
import { type LanguageCount, maxSentenceBytes } from "./sampleSentences.js";
import { type SampleOptions, sampleShards, sampleText } from "./sampleText.js";
import { findTrainer, runTrainer } from "./sentencePieceTrainer.js";

export interface TrainVocabularyOptions extends SampleOptions {
  /** Pieces, the 3 special and 256 byte pieces among them. */
  size: number;
  out: string;
  /** Share of all characters that get a piece of their own; the others are spelt in bytes. */
  coverage: number;
  /** A Python that has the package `sentencepiece`; found where absent. */
  python?: string;
}

/** How a language fares in a new vocabulary, over the sentences that were sampled of it. */
export interface LanguageReport {
  language: string;
  documents: number;
  /** Sentences sampled, of so many. */
  sentences: number;
  ofSentences: number;
  bytes: number;
  tokens: number;
  bytesPerToken: number;
}

export interface TrainedVocabulary {
  out: string;
  size: number;
  sha256: string;
  trainer: string;
  languages: LanguageReport[];
  /** Lines, and rests of shards, of the source that could not be read. */
  rejected: number;
}

/** SentencePiece divides its sums among its threads, so their number changes the result: fixed, whatever the machine has. */
const trainerThreads = 16;
/** Memory that the trainer takes for a byte of text: 3.96 GB were measured for 167 MB. */
const memoryPerByte = 24;
/** Beyond this much text SentencePiece's suffix array needs 64-bit positions. */
const largeCorpusBytes = 2 ** 30;

/**
 * Trains a vocabulary with SentencePiece's own trainer and mT5's options (mT5, section 3.2): unigram, byte fallback, character coverage,
 * `nmt_nfkc`, pad 0, eos 1, unk 2, no bos. Sentences are sampled from the training shards by language. For one seed and one
 * version of SentencePiece the file is the same to the byte. `out` appears only when it is whole and has been read back.
 *
 * @throws MswitchError where the source, the trainer or the size will not do; exit code 130 where `signal` stopped it
 */
export async function trainVocabulary(options: TrainVocabularyOptions): Promise<TrainedVocabulary> {
  const { out, size, log, signal } = options;
  const trainer = await findTrainer(options.python);
  requireWritableFile(out, "the vocabulary", "vocabulary.model");
  const shards = await sampleShards(options);
  log.info(`${shards.chosen.length} training shards; trainer: ${trainer.name}`);

  const directory = dirname(resolve(out));
  await removeStaleTemporaries(directory);
  const work = temporaryName(resolve(out));
  makeDirectory(work);
  try {
    const sentences = join(work, "sentences.txt");
    const { counts, quotas } = await sampleText(sentences, shards, options);
    const { size: bytes } = await stat(sentences);
    if (bytes === 0)
      throw usageError("the source holds no text to train on", {
        code: "source-empty",
        where: options.sources.join(", "),
      });

    const memory = formatBytes(bytes * memoryPerByte);
    log.info(
      `training ${size} pieces on ${(bytes / 1e6).toFixed(1)} MB of text; the trainer needs about ${memory} of memory`,
    );
    // Names relative to the folder, because the model keeps them.
    await runTrainer(trainer, {
      directory: work,
      options: {
        input: "sentences.txt",
        model_prefix: "vocabulary",
        model_type: "unigram",
        vocab_size: String(size),
        byte_fallback: "true",
        character_coverage: String(options.coverage),
        normalization_rule_name: "nmt_nfkc",
        pad_id: "0",
        eos_id: "1",
        unk_id: "2",
        bos_id: "-1",
        max_sentence_length: String(maxSentenceBytes),
        num_threads: String(trainerThreads),
        train_extremely_large_corpus: String(bytes > largeCorpusBytes),
      },
      log,
      signal,
    });
    const model = await readFile(join(work, "vocabulary.model"));
    const read = parseModel(modelFileOf(join(work, "vocabulary.model"), model));
    const languages = await measure(sentences, counts, quotas, await createEncoder(read));
    await writeFileAtomic(out, model);
    const rejected = counts.reduce((sum, count) => sum + count.rejected, 0);
    return { out, size: read.size, sha256: sha256(model), trainer: trainer.name, languages, rejected };
  } catch (error) {
    // The sentences lie there until the trainer has read them.
    const hint = (full: boolean): string => `${full ? "make room" : "mend that"}, or name another place with --out`;
    throw writeError(error, {
      what: "the vocabulary cannot be written",
      full: "the disk is full",
      where: directory,
      hint,
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Bytes and tokens of the sampled sentences, which stand in the file language by language. */
async function measure(
  path: string,
  counts: LanguageCount[],
  quotas: Map<string, number>,
  encoder: Awaited<ReturnType<typeof createEncoder>>,
): Promise<LanguageReport[]> {
  const reports: LanguageReport[] = counts.map(({ language, documents, sentences }) => ({
    language,
    documents,
    sentences: quotas.get(language) ?? 0,
    ofSentences: sentences,
    bytes: 0,
    tokens: 0,
    bytesPerToken: 0,
  }));
  const remaining = reports.flatMap((report) => (report.sentences > 0 ? [{ report, left: report.sentences }] : []));
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    const current = remaining[0];
    const text = Buffer.from(line);
    current.report.bytes += text.length;
    current.report.tokens += encoder.encode(text).length;
    if (--current.left === 0) remaining.shift();
  }
  for (const report of reports) report.bytesPerToken = report.tokens > 0 ? report.bytes / report.tokens : 0;
  return reports;
}
