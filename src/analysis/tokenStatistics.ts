import type { DateRange, MixingPreview, SetAside, SourceFacts } from "./datasetFacts.js";

/** What was counted over some documents. Plain data. */
export interface TokenCounts {
  documents: number;
  tokens: number;
  /** UTF-8 bytes of the texts. */
  bytes: number;
  /** What stands between spaces in the normalized texts. */
  words: number;
  /** Tokens that are the unknown piece, and tokens that spell one byte each of a character without a piece. */
  unknown: number;
  byteFallback: number;
  /** Tokens of the longest document. */
  longest: number;
  /** Documents by length: `lengths[k]` have 2^(k-1) tokens or more and fewer than 2^k; `lengths[0]` have none. */
  lengths: number[];
}

/** A language's counts and what follows from them. Rates are `null` where there is nothing to divide by. */
export interface LanguageTokens extends TokenCounts {
  /** mC4's code, or `total`. */
  language: string;
  /** Token files read, and how many there are. */
  shards: number;
  allShards: number;
  tokensPerByte: number | null;
  /** Tokens a word. */
  fertility: number | null;
  unknownRate: number | null;
  byteFallbackRate: number | null;
  meanTokens: number | null;
}

/** A document as it was tokenized. */
export interface ShownDocument {
  language: string;
  split: string;
  /** Its source file and 1-based line there. */
  source: string;
  line: number;
  /** UTF-8 bytes of its text, and its tokens. */
  bytes: number;
  tokens: number;
  /** The first of them, at most `shownTokens`. */
  ids: number[];
  pieces: string[];
  /** What these ids decode to. */
  text: string;
}

/** What `mswitch dataset inspect` finds. */
export interface InspectReport {
  dir: string;
  vocabulary: { fingerprint: string; size: number };
  languages: LanguageTokens[];
  total: LanguageTokens;
  documents: ShownDocument[];
  /** Where the token files that were read came from. */
  sources: SourceFacts[];
  /** Days of the documents at the start of each language's first source file, by code, where it is still there and says them. */
  dates: Record<string, DateRange>;
  setAside: SetAside;
  /** Codes of languages without validation text. */
  withoutValidation: string[];
  /** Of the whole dataset; the commands add it. */
  mixing?: MixingPreview;
}

/** Tokens of a document that are shown. */
export const shownTokens = 256;

/** Languages that write no spaces between words: their words here are stretches between spaces, and fertility says little. */
export const withoutSpaces: ReadonlySet<string> = new Set(["bo", "ja", "km", "lo", "my", "th", "zh"]);

export function emptyCounts(): TokenCounts {
  return { documents: 0, tokens: 0, bytes: 0, words: 0, unknown: 0, byteFallback: 0, longest: 0, lengths: [] };
}

/** Counts with the rates that follow from them. */
export function withRates(
  counts: TokenCounts,
  { language, shards, allShards }: Pick<LanguageTokens, "language" | "shards" | "allShards">,
): LanguageTokens {
  const { documents, tokens, bytes, words, unknown, byteFallback } = counts;
  const ratio = (a: number, b: number): number | null => (b > 0 ? a / b : null);
  return {
    language,
    shards,
    allShards,
    ...counts,
    lengths: Array.from(counts.lengths, (count) => count ?? 0),
    tokensPerByte: ratio(tokens, bytes),
    fertility: ratio(tokens, words),
    unknownRate: ratio(unknown, tokens),
    byteFallbackRate: ratio(byteFallback, tokens),
    meanTokens: ratio(tokens, documents),
  };
}

/** Adds counts up. */
export function sumCounts(all: readonly TokenCounts[]): TokenCounts {
  const sum = emptyCounts();
  for (const one of all) {
    for (const key of ["documents", "tokens", "bytes", "words", "unknown", "byteFallback"] as const)
      sum[key] += one[key];
    sum.longest = Math.max(sum.longest, one.longest);
    for (const [k, count] of one.lengths.entries()) sum.lengths[k] = (sum.lengths[k] ?? 0) + (count ?? 0);
  }
  return sum;
}

/** Name of a bin of `lengths`: `0`, `1`, `2–3`, `4–7`, … */
export function lengthBin(k: number): string {
  if (k < 2) return String(k);
  return `${(2 ** (k - 1)).toLocaleString("en-US")}–${(2 ** k - 1).toLocaleString("en-US")}`;
}
