import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { MswitchError, usageError } from "../../base/errors.js";
import type { Split } from "../../corpus/shards/shard.js";
import { loadVocabulary } from "../../vocab/loadVocabulary.js";
import type { Vocabulary } from "../../vocab/vocabulary.js";
import { manifestFile } from "../format/buildManifest.js";
import { type DatasetManifest, datasetFormat, datasetManifestSchema } from "../format/manifest.js";
import type { TokenDataset, TokenRun } from "./tokenDataset.js";
import { mendHint, type ShardEntry, tokenFileFault } from "./tokenFileFault.js";
import { lastAtMost, TokenFiles } from "./tokenFiles.js";

const filesAtATime = 64;

/**
 * Opens a tokenized dataset and makes sure that it is there: manifest, vocabulary, every file and its size. `verifyDataset` reads
 * the files too.
 *
 * @throws MswitchError naming the file, and the key in it, that is absent, damaged or of an unknown format
 */
export async function openDataset(dir: string): Promise<TokenDataset> {
  const manifest = await readManifest(dir);
  const vocabulary = await readVocabulary(dir, manifest);
  for (let i = 0; i < manifest.shards.length; i += filesAtATime) {
    const some = manifest.shards.slice(i, i + filesAtATime);
    await Promise.all(some.map((shard) => checkFile(dir, shard)));
  }
  const files = new TokenFiles(dir, manifest.tokenType, vocabulary.size);
  const runs = new Map<string, TokenRun>();
  return {
    dir,
    manifest,
    vocabulary,
    languages: (split) => Object.keys(manifest.languages).filter((code) => manifest.languages[code][split]?.tokens),
    run(language, split) {
      const key = `${language} ${split}`;
      const run = runs.get(key) ?? createRun(manifest, files, language, split);
      runs.set(key, run);
      return run;
    },
    close: () => files.close(),
  };
}

/**
 * Reads a dataset's own copy of its vocabulary.
 *
 * @throws MswitchError where it is absent, damaged or another one than the manifest names
 */
export async function readVocabulary(dir: string, manifest: DatasetManifest): Promise<Vocabulary> {
  const path = join(dir, manifest.vocabulary.file);
  const vocabulary = await loadVocabulary(path);
  if (vocabulary.fingerprint !== manifest.vocabulary.fingerprint) {
    throw new MswitchError("the vocabulary is not the one the dataset was made with", {
      code: "vocabulary-dataset-mismatch",
      where: path,
      why: `${manifestFile} says ${manifest.vocabulary.fingerprint.slice(0, 12)}…, the file has ${vocabulary.fingerprint.slice(0, 12)}…`,
      hint: mendHint,
    });
  }
  return vocabulary;
}

/** Reads and validates `dataset.json`. */
export async function readManifest(dir: string): Promise<DatasetManifest> {
  const path = join(dir, manifestFile);
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw usageError("no tokenized dataset is here", {
      code: "dataset-not-found",
      where: path,
      why: error.code === "ENOENT" ? "there is no such file" : error.message,
      hint: "make one with `mswitch preprocess`; one that was interrupted is finished by the same command",
      cause: error,
    });
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new MswitchError("the dataset's manifest is not JSON", {
      code: "dataset-damaged",
      where: path,
      why: String(error),
      hint: mendHint,
    });
  }
  const format = z.looseObject({ format: z.unknown() }).safeParse(json).data?.format;
  if (format !== datasetFormat) {
    throw new MswitchError(`unknown dataset format ${JSON.stringify(format)}`, {
      code: "dataset-format-unknown",
      where: path,
      why: `this version reads format ${datasetFormat}`,
      hint: "preprocess again with this version into a new folder, or use the version that made the dataset",
    });
  }
  const parsed = datasetManifestSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new MswitchError("the dataset's manifest is damaged", {
      code: "dataset-damaged",
      where: path,
      why: `${issue.path.join(".") || "it"}: ${issue.message}`,
      hint: mendHint,
    });
  }
  return parsed.data;
}

async function checkFile(dir: string, shard: ShardEntry): Promise<void> {
  const path = join(dir, shard.file);
  const fault = await tokenFileFault(path, shard, false);
  if (fault)
    throw new MswitchError(`the dataset's file ${fault}`, { code: "dataset-damaged", where: path, hint: mendHint });
}

function createRun(manifest: DatasetManifest, files: TokenFiles, language: string, split: Split): TokenRun {
  const totals = manifest.languages[language]?.[split];
  if (!totals)
    throw new MswitchError(`the dataset holds no ${split} split of ${language}`, { code: "language-not-in-dataset" });
  const shards = manifest.shards.filter((s) => s.language === language && s.split === split && s.tokens > 0);
  const starts = new Float64Array(shards.length + 1);
  for (const [i, shard] of shards.entries()) starts[i + 1] = starts[i] + shard.tokens;
  const tokens = starts[shards.length];
  return {
    language,
    split,
    tokens,
    documents: totals.documents,
    read(offset, out) {
      if (offset < 0 || offset + out.length > tokens) {
        throw new RangeError(`tokens ${offset} to ${offset + out.length} of ${tokens} (${language} ${split})`);
      }
      let i = lastAtMost(starts, offset);
      for (let done = 0; done < out.length; i++) {
        const within = offset + done - starts[i];
        const count = Math.min(out.length - done, shards[i].tokens - within);
        files.read(shards[i], within, out.subarray(done, done + count));
        done += count;
      }
    },
  };
}
