import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { removeStaleTemporaries, writeFileAtomic } from "../../base/atomicFile.js";
import { usageError } from "../../base/errors.js";
import { makeDirectory } from "../../base/files/makeDirectory.js";
import { sha256, sha256File } from "../../base/hash.js";
import type { Shard } from "../../corpus/shards/shard.js";
import type { Vocabulary } from "../../vocab/vocabulary.js";
import { manifestFile, otherVocabulary, vocabularyFile } from "../format/buildManifest.js";
import type { RecordIndex } from "../format/recordIndex.js";
import { holdsPairs, recordFolder, tokenFileName } from "../format/shardRecord.js";

/**
 * Makes sure that a folder may take this dataset, and writes nothing.
 *
 * @throws usageError where the folder holds something else: other files, a dataset of another vocabulary, the same languages cut into
 *   another number of shards, or a split of the same files that shares documents with this one
 */
export async function checkOutput(
  out: string,
  vocabulary: Vocabulary,
  shards: Shard[],
  records: RecordIndex,
): Promise<void> {
  const names: string[] = await readdir(out).catch((error: NodeJS.ErrnoException) => {
    // No name, as of a variable that is not set, would be the working directory further on.
    if (error.code === "ENOENT" && out !== "") return [];
    throw usageError("the output folder cannot be used", {
      code: "output-unusable",
      where: out,
      why: error.message,
      hint: "name another one",
    });
  });
  if (names.some((name) => !name.startsWith(".")) && !names.includes(recordFolder)) {
    throw usageError("the output folder holds something else", {
      code: "output-in-use",
      where: out,
      why: `it is not empty (${names.slice(0, 3).join(", ")}${names.length > 3 ? ", …" : ""}) and no dataset was begun in it`,
      hint: "name an empty or a new folder",
    });
  }
  const begun = checkRecords(out, vocabulary, shards, records);
  const made = await fingerprintOf(join(out, manifestFile));
  if (made !== undefined && made !== vocabulary.fingerprint) throw otherVocabulary(out, vocabulary, made);
  const copied = await copiedFingerprint(out);
  if (copied !== undefined && copied !== vocabulary.fingerprint && !begun && made === undefined) {
    throw otherVocabulary(out, vocabulary, copied);
  }
}

/** Makes a folder that `checkOutput` has passed ready: the vocabulary copied in, dead processes' temporary files removed. */
export async function prepareOutput(out: string, vocabulary: Vocabulary): Promise<void> {
  makeDirectory(join(out, recordFolder));
  if ((await copiedFingerprint(out)) !== vocabulary.fingerprint) {
    await copyVocabulary(vocabulary, join(out, vocabularyFile));
  }
  await removeStaleTemporaries(out);
  for (const folder of [out, join(out, recordFolder)]) {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) await removeStaleTemporaries(join(folder, entry.name));
    }
  }
}

/** Refuses records of another dataset. Returns whether there are any. */
function checkRecords(out: string, vocabulary: Vocabulary, shards: Shard[], records: RecordIndex): boolean {
  let found = false;
  const counts = new Map(shards.map((shard) => [`${shard.language} ${shard.split}`, shard]));
  const files = new Set(shards.map((shard) => tokenFileName(shard)));
  const sources = new Map(shards.map((shard) => [`${shard.language} ${shard.name}`, shard]));
  for (const [, record] of records.inOrder()) {
    if (record.vocabulary !== vocabulary.fingerprint) throw otherVocabulary(out, vocabulary, record.vocabulary);
    if (holdsPairs(record) !== (shards[0]?.pairs !== undefined)) {
      throw usageError(`the output folder holds a dataset of ${holdsPairs(record) ? "text-to-text pairs" : "text"}`, {
        code: "dataset-content-mismatch",
        where: out,
        why: `the source is ${holdsPairs(record) ? "text" : "text-to-text pairs"}: a dataset is one or the other`,
        hint: "name another output folder",
      });
    }
    const shard = counts.get(`${record.language} ${record.split}`);
    if (shard && shard.count !== record.count) {
      throw usageError(`the dataset holds ${record.language} ${record.split} cut into ${record.count} shards`, {
        code: "shard-counts-differ",
        where: join(out, record.output.file),
        why: `the source has it in ${shard.count} (${shard.path}); both together would hold every document twice`,
        hint: "name another output folder",
      });
    }
    const other = sources.get(`${record.language} ${record.source.name}`);
    const every = record.options.validationEvery;
    if (other && other.holdOut?.every !== every && !files.has(record.output.file)) {
      throw usageError(`the dataset holds another part of ${other.name} for ${record.split}`, {
        code: "validation-split-differs",
        where: join(out, record.output.file),
        why: `it was taken with --validation-every ${every ?? 0}: documents of it would be in both splits`,
        hint: `--validation-every ${every ?? 0}, or take both splits, or name another output folder`,
      });
    }
    found = true;
  }
  return found;
}

/** The vocabulary that a manifest names, or undefined where there is no manifest that says. */
async function fingerprintOf(path: string): Promise<string | undefined> {
  try {
    const { vocabulary } = JSON.parse(await readFile(path, "utf8"));
    return typeof vocabulary.fingerprint === "string" ? vocabulary.fingerprint : undefined;
  } catch {
    return undefined;
  }
}

/** Of the vocabulary that lies in a dataset's folder; undefined where there is none. */
function copiedFingerprint(out: string): Promise<string | undefined> {
  return sha256File(join(out, vocabularyFile)).catch(() => undefined);
}

async function copyVocabulary(vocabulary: Vocabulary, copy: string): Promise<void> {
  const bytes = await readFile(vocabulary.path);
  if (sha256(bytes) !== vocabulary.fingerprint) {
    throw usageError("the vocabulary was changed while it was being read", {
      code: "vocabulary-changed",
      where: vocabulary.path,
      hint: "try again",
    });
  }
  await writeFileAtomic(copy, bytes);
}
