import * as z from "zod";
import { sha256 } from "../../base/hash.js";
import { splits } from "../../corpus/shards/shard.js";
import { tokenTypes } from "./tokenType.js";

/** Version of the dataset's layout; a reader refuses any other. */
export const datasetFormat = 1;

const count = z.int().nonnegative();
/** Files are named relative to the dataset's folder and lie inside it. */
const tokenFile = z.string().regex(/^\w[\w.-]*\/\w[\w-]*\.arrow$/);
const hash = z.string().regex(/^[0-9a-f]{64}$/);

/** What is known of one finished shard. Keyed by what was read, never by who read it. */
export const shardRecordSchema = z.strictObject({
  format: z.literal(datasetFormat),
  source: z.strictObject({
    name: z.string(),
    path: z.string(),
    bytes: count,
    sha256: hash,
    /** ETag or date that the server gave; of remote sources only. */
    version: z.string().optional(),
  }),
  language: z.string(),
  split: z.enum(splits),
  index: count,
  count: count,
  /** Fingerprint of the vocabulary. */
  vocabulary: hash,
  /** Everything else that decides the output's bytes. */
  options: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  documents: count,
  tokens: count,
  /** UTF-8 bytes of the kept texts. */
  textBytes: count,
  /** Number of rejections by cause. */
  rejected: z.record(z.string(), count),
  /** The first of them, at most `maxListedRejections`. */
  rejections: z.array(z.strictObject({ line: count, cause: z.string(), detail: z.string() })),
  /** The Arrow file, relative to the dataset's folder. */
  output: z.strictObject({ file: tokenFile, bytes: count, sha256: hash }),
});
export type ShardRecord = z.infer<typeof shardRecordSchema>;

/** `bytes` are UTF-8 bytes of the kept texts. */
const splitTotals = z.strictObject({ shards: count, documents: count, tokens: count, bytes: count });
export type SplitTotals = z.infer<typeof splitTotals>;

/** `dataset.json`: what a tokenized dataset holds. */
export const datasetManifestSchema = z.strictObject({
  format: z.literal(datasetFormat),
  vocabulary: z.strictObject({
    /** The copy inside the dataset's folder. */
    file: z.string().regex(/^\w[\w.-]*$/),
    fingerprint: hash,
    /** Pieces in the model. */
    size: count,
  }),
  tokenType: z.enum(tokenTypes),
  /** What a row is: a document (absent), or a text-to-text pair, its languages being `TASK.CODE`. */
  content: z.literal("pairs").optional(),
  /** Totals by language code and split. */
  languages: z.record(z.string(), z.partialRecord(z.enum(splits), splitTotals)),
  /** Number of rejections by cause over all shards. */
  rejected: z.record(z.string(), count),
  /** The Arrow files in reading order: by language, split, index. */
  shards: z.array(
    z.strictObject({
      file: tokenFile,
      language: z.string(),
      split: z.enum(splits),
      documents: count,
      tokens: count,
      /** Size of the Arrow file. */
      bytes: count,
      /** Hash of the Arrow file. */
      sha256: hash,
    }),
  ),
});
export type DatasetManifest = z.infer<typeof datasetManifestSchema>;

/** SHA-256 of what a dataset holds, in hex: runs on the same data have the same. */
export function datasetFingerprint(manifest: DatasetManifest): string {
  return sha256(JSON.stringify(manifest));
}
