import { findLanguage } from "../../corpus/shards/languages.js";

/** Names that Unicode's tables (CLDR) do not have in the language itself. */
const others: Record<string, string> = {
  ceb: "Sinugbuanong Binisaya",
  co: "corsu",
  hmn: "Hmoob",
  ht: "kreyòl ayisyen",
  la: "Latina",
  ny: "Chicheŵa",
  sm: "Gagana Sāmoa",
};

/** What a language calls itself, by Unicode's names as Node has them; null where that is not known or the English name. */
export function ownName(code: string): string | null {
  if (others[code] !== undefined) return others[code];
  try {
    const name = new Intl.DisplayNames([code], { type: "language", fallback: "none" }).of(code);
    return name === undefined || name === findLanguage(code)?.name ? null : name;
  } catch {
    return null;
  }
}
