import type { Split } from "../../corpus/shards/shard.js";
import type { Vocabulary } from "../../vocab/vocabulary.js";
import type { DatasetManifest } from "../format/manifest.js";

/** One language's documents of one split, end to end, as a single run of tokens that can be read anywhere. */
export interface TokenRun {
  language: string;
  split: Split;
  tokens: number;
  documents: number;
  /** Reads tokens [offset, offset + out.length) into `out`. Synchronous, positional, bounded memory. */
  read(offset: number, out: Int32Array): void;
}

/** A tokenized dataset opened for reading. */
export interface TokenDataset {
  dir: string;
  manifest: DatasetManifest;
  vocabulary: Vocabulary;
  /** Codes that have at least one token in `split`, in the manifest's (sorted) order. */
  languages(split: Split): string[];
  run(language: string, split: Split): TokenRun;
  close(): void;
}
