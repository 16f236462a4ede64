import type { MixingPreview } from "../../analysis/datasetFacts.js";
import type { InspectReport } from "../../analysis/tokenStatistics.js";
import { languageName } from "../../corpus/shards/languages.js";
import { ownName } from "./ownName.js";

export interface LanguageName {
  name: string;
  /** What the language calls itself, where that is known and another name. */
  ownName: string | null;
}

/** What a page's script needs of a dataset. */
export interface DatasetView {
  /** By code. */
  names: Record<string, LanguageName>;
  mixing: MixingPreview | null;
}

export function datasetView({ languages, mixing = undefined }: InspectReport): DatasetView {
  const codes = new Set([...languages.map(({ language }) => language), ...(mixing?.codes ?? [])]);
  return {
    names: Object.fromEntries(
      [...codes].map((code) => [code, { name: languageName(code) ?? code, ownName: ownName(code) }]),
    ),
    mixing: mixing ?? null,
  };
}

/** A language's names; its code where it is not in the view. */
export function nameIn({ names }: Pick<DatasetView, "names">, code: string): LanguageName {
  return names[code] ?? { name: code, ownName: null };
}
