import type { InspectReport, LanguageTokens } from "../../analysis/tokenStatistics.js";
import { plural } from "../../base/format.js";
import { findLanguage } from "../../corpus/shards/languages.js";

/** Shares of a language's tokens above which a reader is told. */
const limits = { byteTokens: 0.05, unknown: 0.005 };

/** Training documents below which a language is called small. */
const fewDocuments = 100;

/** Languages named in a warning; the others are counted. */
const named = 6;

/** What a reader must know of a dataset before training on it. */
export function datasetWarnings(report: InspectReport): string[] {
  const { languages, total, setAside, sources, withoutValidation } = report;
  const rejected = Object.values(setAside.causes).reduce((sum, count) => sum + count, 0);
  const withoutLicence = sources.filter(({ licence }) => licence === null).map(({ folder }) => folder);
  return [
    ...shareWarning(
      languages,
      ({ byteFallbackRate }) => byteFallbackRate,
      limits.byteTokens,
      "of the tokens spell one byte each: the vocabulary hardly has their letters. Train one on more of their text, or leave them out",
    ),
    ...shareWarning(
      languages,
      ({ unknownRate }) => unknownRate,
      limits.unknown,
      "of the tokens are unknown: what they stood for is lost. Use a vocabulary with byte fallback",
    ),
    ...(withoutValidation.length > 0
      ? [
          `${names(withoutValidation)} ${withoutValidation.length === 1 ? "has" : "have"} no validation text: no quality and no speed-up.`,
        ]
      : []),
    ...smallWarning(languages),
    ...(rejected > 0
      ? [
          `${plural(rejected, "time")} something was set aside (${((100 * rejected) / (rejected + total.documents)).toFixed(2)} % of documents and faults together); see below.`,
        ]
      : []),
    ...(total.shards < total.allShards
      ? [`Only ${total.shards} of ${plural(total.allShards, "token file")} were read.`]
      : []),
    ...(withoutLicence.length > 0
      ? [
          `No licence is stated for ${withoutLicence.slice(0, 3).join(", ")}${withoutLicence.length > 3 ? ` and ${withoutLicence.length - 3} more` : ""}: find out before you publish a model.`,
        ]
      : []),
  ];
}

function shareWarning(
  languages: readonly LanguageTokens[],
  shareOf: (one: LanguageTokens) => number | null,
  limit: number,
  what: string,
): string[] {
  const above = languages
    .map((one) => ({ code: one.language, share: shareOf(one) ?? 0 }))
    .filter(({ share }) => share > limit)
    .sort((a, b) => b.share - a.share);
  if (above.length === 0) return [];
  const list = above.slice(0, named).map(({ code, share }) => `${nameOf(code)} ${(100 * share).toFixed(1)} %`);
  const more = above.length > named ? `, and ${above.length - named} more` : "";
  return [`In ${plural(above.length, "language")} more than ${100 * limit} % ${what} (${list.join(", ")}${more}).`];
}

function smallWarning(languages: readonly LanguageTokens[]): string[] {
  const small = languages.filter(({ documents }) => documents < fewDocuments);
  if (small.length === 0) return [];
  const who = small.length === languages.length ? "Every language" : names(small.map(({ language }) => language));
  return [
    `${who} ${small.length === languages.length || small.length === 1 ? "has" : "have"} fewer than ${fewDocuments} documents: a model learns them by heart.`,
  ];
}

function names(codes: readonly string[]): string {
  const list = codes.slice(0, named).map(nameOf).join(", ");
  return codes.length > named ? `${list} and ${codes.length - named} more` : list;
}

const nameOf = (code: string): string => findLanguage(code)?.name ?? code;
