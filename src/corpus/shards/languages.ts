import { readFileSync } from "node:fs";
import * as z from "zod";
import { packageRoot } from "../../base/builtCode.js";
import { usageError } from "../../base/errors.js";
import { nearest } from "../../base/nearest.js";

const count = z.int().nonnegative();

const languageSchema = z.strictObject({
  /** mC4's own code of the task: `iw`, `no`, `zh-Latn`, … */
  code: z.string(),
  /** English name. */
  name: z.string(),
  /** Code of the language, one of 101: that of the task, or of the task whose Latin-script variant it is. */
  language: z.string(),
  /** Whether the task is one of the six that hold a language in Latin letters. */
  latinVariant: z.boolean(),
  /** mT5 tokens, in billions. */
  tokensBillions: z.number().positive(),
  trainPages: count,
  validationPages: count,
  /** Share of mT5's training mixture, in per cent (mT5, Table 6). */
  mt5Percent: z.number().positive(),
  /** Whether that share was transcribed from the paper or recalled and checked against trainPages^(1/3.3). */
  mt5PercentSource: z.enum(["transcribed", "recalled"]),
  trainShards: count,
  validationShards: count,
  /** Negative log perplexity after a million steps, read off the bars of Figure 7 of Switch Transformers, ±0.01 nat. */
  figure7: z.strictObject({ mt5Base: z.number(), mSwitchBase: z.number() }),
});

/** One of mC4's 107 tasks. Where each column was published: data/README.md. */
export type Language = Readonly<z.infer<typeof languageSchema>>;

let table: Map<string, Language> | undefined;

/** mC4's tasks by code, by falling number of pages. Read on first use. */
function languageTable(): Map<string, Language> {
  if (!table) {
    const text = readFileSync(new URL("data/languages.json", packageRoot), "utf8");
    table = new Map(
      z
        .array(languageSchema)
        .parse(JSON.parse(text))
        .map((row) => [row.code, row]),
    );
  }
  return table;
}

/** All 107 tasks of mC4, by falling number of pages. */
export function allLanguages(): Language[] {
  return [...languageTable().values()];
}

/** The task of an mC4 code, or undefined where mC4 has none (`und` is no task: its pages' language was not determined). */
export function findLanguage(code: string): Language | undefined {
  return languageTable().get(code);
}

/** Today's ISO codes of the languages that mC4 keeps under another. */
const isoCodes: Record<string, string> = { he: "iw", nb: "no", nn: "no", tl: "fil", "zh-Hant": "zh", "zh-Hans": "zh" };

const names = {
  language: new Intl.DisplayNames(["en"], { type: "language", fallback: "none" }),
  script: new Intl.DisplayNames(["en"], { type: "script", fallback: "none" }),
  region: new Intl.DisplayNames(["en"], { type: "region", fallback: "none" }),
};

/** The English name of a language by mC4's table or, for other BCP 47 codes, by Unicode's; undefined where neither knows it. */
export function languageName(code: string): string | undefined {
  const task = findLanguage(code);
  if (task) return task.name;
  const [language, ...rest] = code.split("-");
  try {
    if (Intl.getCanonicalLocales(code)[0] !== code || names.language.of(language) === undefined) return undefined;
    const known = rest.every((tag) => {
      if (/^[A-Z][a-z]{3}$/.test(tag)) return names.script.of(tag) !== undefined;
      return /^(?:[A-Z]{2}|\d{3})$/.test(tag) && names.region.of(tag) !== undefined;
    });
    return known ? names.language.of(code) : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a code is mC4's or a BCP 47 code of a known language (`hr`, `br`, `sr-Latn`) other than the one of which mC4 has another. */
export function isLanguageCode(code: string): boolean {
  return code !== "und" && isoCodes[code] === undefined && languageName(code) !== undefined;
}

/**
 * The code of a corpus of one's own: any that is well-formed by BCP 47, of whatever language.
 *
 * @throws usageError
 */
export function requireLanguageCode(code: string): string {
  let canonical: string | undefined;
  try {
    [canonical] = Intl.getCanonicalLocales(code);
  } catch {
    // No BCP 47.
  }
  if (findLanguage(code) || canonical === code) return code;
  throw usageError(`${code} is no language code`, {
    code: "unknown-language",
    where: "--language",
    why: canonical ? `BCP 47 writes it ${canonical}` : "it is not as BCP 47 has them",
    hint: canonical ? `--language ${canonical}` : "give a code such as hr, br or sr-Latn",
  });
}

/** What to say about a code of which there is nothing: mC4's own code for it, or one that is written almost so. Never another language. */
export function unknownLanguageHint(word: string): string {
  const tasks = allLanguages();
  if (word === "und") return "und is mC4's mark for pages of undetermined language, which are no task of it.";
  const name = languageName(word);
  if (isoCodes[word] === undefined && name !== undefined) return findLanguage(word) ? "" : `mC4 has no ${name}.`;
  // Of two letters each neighbour is another language.
  const near =
    isoCodes[word] ??
    (word.length > 3 ? nearest(word, [...tasks.map((one) => one.code), ...tasks.map((one) => one.name)]) : undefined);
  const task = tasks.find(({ code, name: known }) => code === near || known === near);
  return task
    ? `did you mean ${task.code} (${task.name})?`
    : "mC4's codes are listed in data/languages.json: iw for Hebrew, no for Norwegian, fil for Filipino, …; other languages have their BCP 47 codes.";
}

/**
 * The codes a user asked for, without repetition, in the order given.
 *
 * @param list `"all"` for mC4's 107 tasks, or codes separated by commas: `"af,am"`
 * @throws usageError for an empty list or an unknown code
 */
export function requireLanguages(list: string): string[] {
  if (list.trim() === "all") return [...languageTable().keys()];
  const codes = list.split(",").flatMap((code) => code.trim() || []);
  if (codes.length === 0)
    throw usageError("no language is named", { code: "no-language", hint: "give all, or codes such as af,am" });
  for (const code of codes) {
    if (!isLanguageCode(code))
      throw usageError(`unknown language ${code}`, { code: "unknown-language", hint: unknownLanguageHint(code) });
  }
  return [...new Set(codes)];
}
