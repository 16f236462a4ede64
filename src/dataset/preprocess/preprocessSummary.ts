import { addCounts, sumOf } from "../format/buildManifest.js";
import type { KnownShard } from "../format/shardRecord.js";
import type { ShardCost } from "./tokenizeShard.js";

export interface LanguageSummary {
  shards: number;
  documents: number;
  tokens: number;
  /** UTF-8 bytes of the kept texts. */
  bytes: number;
  rejected: number;
}

/** What a run of `preprocess` answers for: the shards it was asked for, whether it tokenized them or found them done. */
export interface PreprocessSummary {
  out: string;
  /** Whether `dataset.json` was written; not by one of several tasks, but by the last. */
  complete: boolean;
  /** Shards found done, shards tokenized now, shards left out. */
  skipped: number;
  tokenized: number;
  failed: number;
  languages: Record<string, LanguageSummary>;
  total: LanguageSummary;
  /** Number of rejections by cause. */
  rejected: Record<string, number>;
  /** Where each of them is listed; null while other tasks are under way. */
  quarantine: string | null;
  /** Shards that could not be read or whose worker died: no part of the dataset until a later run mends it. */
  failures: { file: string; why: string }[];
  /** What the shards tokenized now have cost, over all workers. */
  cost: ShardCost;
}

/** What a run has done so far. */
export type SummaryTotals = Pick<PreprocessSummary, "languages" | "total" | "rejected">;

export function emptyTotals(): SummaryTotals {
  return { languages: {}, total: emptySummary(), rejected: {} };
}

/** Adds a shard that is part of the dataset. */
export function addToTotals({ languages, total, rejected }: SummaryTotals, record: KnownShard): void {
  addCounts(rejected, record.rejected);
  languages[record.language] ??= emptySummary();
  for (const sum of [languages[record.language], total]) {
    sum.shards++;
    sum.documents += record.documents;
    sum.tokens += record.tokens;
    sum.bytes += record.textBytes;
    sum.rejected += sumOf(record.rejected);
  }
}

/** The summary, the same whatever the order in which shards were added. */
export function summarize(
  { languages, total, rejected }: SummaryTotals,
  {
    out,
    complete,
    skipped,
    failures,
    cost,
    quarantine,
  }: Pick<PreprocessSummary, "out" | "complete" | "skipped" | "failures" | "cost" | "quarantine">,
): PreprocessSummary {
  return {
    out,
    complete,
    skipped,
    tokenized: total.shards - skipped,
    failed: failures.length,
    languages: Object.fromEntries(Object.entries(languages).sort(([a], [b]) => (a < b ? -1 : 1))),
    total,
    rejected,
    quarantine,
    failures: failures.sort((a, b) => (a.file < b.file ? -1 : 1)),
    cost,
  };
}

function emptySummary(): LanguageSummary {
  return { shards: 0, documents: 0, tokens: 0, bytes: 0, rejected: 0 };
}
