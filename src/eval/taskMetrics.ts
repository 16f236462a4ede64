import { chrF } from "./chrF.js";
import type { TaskOutput } from "./taskOutput.js";

/** What a task's outputs are measured by. */
export const taskMetricNames = ["exactMatch", "accuracy", "f1", "chrF"] as const;
export type TaskMetric = (typeof taskMetricNames)[number];

/**
 * A metric over a task's outputs in one language.
 *
 * - `exactMatch`, `accuracy`: share of outputs equal to a reference, white space at the ends and runs of it aside. Accuracy is what this is
 *   called where the references are labels.
 * - `f1`: SQuAD's F1 over tokens (`tokenF1`), the mean over outputs, each with its best reference.
 * - `chrF`: sacreBLEU's, over the whole corpus.
 *
 * @param lang code of the language that the references are in: of those written without spaces, `f1` counts characters
 * @returns in [0, 1]; chrF in [0, 100]
 */
export function taskMetric(metric: TaskMetric, outputs: readonly TaskOutput[], lang: string): number {
  if (outputs.length === 0) throw new Error("internal: no outputs to measure");
  if (metric === "chrF") return chrF(outputs);
  const score = metric === "f1" ? tokenF1 : isSame;
  const best = ({ prediction, references }: TaskOutput): number =>
    Math.max(...references.map((reference) => score(prediction, reference, lang)));
  return outputs.reduce((sum, output) => sum + best(output), 0) / outputs.length;
}

function isSame(prediction: string, reference: string): number {
  const plain = (text: string): string => text.normalize("NFC").trim().replace(/\s+/gu, " ");
  return plain(prediction) === plain(reference) ? 1 : 0;
}

/** Python's string.punctuation, which SQuAD's script takes away. */
const asciiPunctuation = /[!"#$%&'()*+,\-./:;<=>?@[\\\]^_`{|}~]/g;

/** Languages whose words are not told apart by spaces. */
const withoutSpaces = new Set(["zh", "ja", "th", "lo", "km", "my", "bo", "dz"]);

/**
 * F1 of a text's tokens as SQuAD's script computes it (Rajpurkar et al. 2016): lower case, without ASCII punctuation and the articles a, an,
 * the, split at white space; in every language, as XQuAD is measured. What the script takes for one token in a language written without
 * spaces is taken apart into characters, without any punctuation: what MLQA's script (Lewis et al. 2020) does for Chinese.
 */
export function tokenF1(prediction: string, reference: string, lang: string): number {
  const [ours, theirs] = [tokensOf(prediction, lang), tokensOf(reference, lang)];
  // As the script for SQuAD 2 has it: of two empty texts the one is what the other is.
  if (ours.length === 0 || theirs.length === 0) return ours.length === theirs.length ? 1 : 0;
  const left = new Map<string, number>();
  for (const token of theirs) left.set(token, (left.get(token) ?? 0) + 1);
  let shared = 0;
  for (const token of ours) {
    const count = left.get(token) ?? 0;
    if (count > 0) shared++;
    left.set(token, count - 1);
  }
  if (shared === 0) return 0;
  const [precision, recall] = [shared / ours.length, shared / theirs.length];
  return (2 * precision * recall) / (precision + recall);
}

function tokensOf(text: string, lang: string): string[] {
  const bare = text.toLowerCase().replace(asciiPunctuation, "");
  if (withoutSpaces.has(lang)) return [...bare.replace(/[\p{P}\s]/gu, "")];
  // `\b` of JavaScript knows ASCII letters alone: an article is one where no letter or digit of any script touches it.
  const words = bare.replace(/(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu, " ");
  return words.split(/\s+/u).filter((token) => token !== "");
}
