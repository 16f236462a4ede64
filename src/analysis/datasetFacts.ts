/** What is told of a tokenized dataset beside its token counts. Plain data. */

/** Where a part of a dataset came from. */
export interface SourceFacts {
  /** Folder or address of the source files. */
  folder: string;
  files: number;
  /** Bytes of the files as they are, compressed. */
  bytes: number;
  /** ETags or dates that a server gave; of remote sources only. */
  versions: string[];
  /** What the corpus says of its licence, and in which file; null where it says nothing. */
  licence: { name: string; file: string } | null;
}

/** First and last day (`2019-04-18`) of some documents. */
export interface DateRange {
  from: string;
  to: string;
  documents: number;
}

/** What was set aside. */
export interface SetAside {
  /** Number of rejections by cause, and by language. */
  causes: Record<string, number>;
  byLanguage: Record<string, number>;
  /** The first of them. */
  listed: { file: string; language: string; line: number; cause: string; detail: string }[];
}

/** How strategies of mixing would share a budget of training tokens among the languages. */
export interface MixingPreview {
  /** Languages that have training text. */
  codes: string[];
  /** Their training documents and tokens. */
  documents: number[];
  tokens: number[];
  /** Training tokens in all that the shares are computed for. */
  budgets: number[];
  strategies: {
    /** The value of `stream.mixing` in a run's file, [budgets]. */
    yaml: string[];
    label: string;
    /** Probability of each language, [budgets][languages]. */
    shares: number[][];
  }[];
}
