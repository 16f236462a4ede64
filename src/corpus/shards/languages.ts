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
const isoCodes: Record<string, string> = { he: "iw", nb: "no", nn: "no", tl: "fil" };

/** Names the code of mC4 that a user probably meant by an unknown one, or by a language's name. */
export function nearestLanguageHint(word: string): string {
  const tasks = allLanguages();
  const near = isoCodes[word] ?? nearest(word, [...tasks.map((task) => task.code), ...tasks.map((task) => task.name)]);
  const task = tasks.find(({ code, name }) => code === near || name === near);
  return task
    ? `did you mean ${task.code} (${task.name})?`
    : "mC4's codes are listed in data/languages.json: iw for Hebrew, no for Norwegian, fil for Filipino, …";
}

/**
 * The task codes a user asked for, without repetition, in the order given.
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
    if (!findLanguage(code))
      throw usageError(`unknown language ${code}`, { code: "unknown-language", hint: nearestLanguageHint(code) });
  }
  return [...new Set(codes)];
}
