import type { TaskOutput } from "./taskOutput.js";

/** Longest n-grams of characters, and how much recall counts more than precision: sacreBLEU's chrF2. */
const order = 6;
const beta = 2;

/** For each n: n-grams of the prediction, of the reference, and in both. */
type Counts = { predicted: number; expected: number; shared: number }[];

/**
 * chrF (Popović 2015) of a corpus as sacreBLEU 2 computes it by default: n-grams of 1 to 6 characters (code points) without white space,
 * β 2, no words, no smoothing, counts added up over the corpus; of several references the one with the best score of its own.
 *
 * @returns in [0, 100]
 */
export function chrF(outputs: readonly TaskOutput[]): number {
  const total: Counts = Array.from({ length: order }, () => ({ predicted: 0, expected: 0, shared: 0 }));
  for (const { prediction, references } of outputs) {
    const ours = charactersOf(prediction);
    let [best, bestScore]: [Counts | undefined, number] = [undefined, -1];
    for (const reference of references) {
      const counts = countsOf(ours, charactersOf(reference));
      const score = scoreOf(counts);
      if (score > bestScore) [best, bestScore] = [counts, score];
    }
    for (const [n, counts] of (best ?? []).entries()) {
      total[n].predicted += counts.predicted;
      total[n].expected += counts.expected;
      total[n].shared += counts.shared;
    }
  }
  return scoreOf(total);
}

function charactersOf(text: string): string[] {
  return [...text.replace(/\s+/gu, "")];
}

function countsOf(prediction: readonly string[], reference: readonly string[]): Counts {
  return Array.from({ length: order }, (_, i) => {
    const [ours, theirs] = [nGrams(prediction, i + 1), nGrams(reference, i + 1)];
    let shared = 0;
    for (const [gram, count] of ours) shared += Math.min(count, theirs.get(gram) ?? 0);
    const expected = Math.max(reference.length - i, 0);
    // n-grams of the prediction do not count against it where the reference is too short to have any.
    return { predicted: expected > 0 ? Math.max(prediction.length - i, 0) : 0, expected, shared };
  });
}

function nGrams(characters: readonly string[], n: number): Map<string, number> {
  const grams = new Map<string, number>();
  for (let i = 0; i + n <= characters.length; i++) {
    const gram = characters.slice(i, i + n).join("");
    grams.set(gram, (grams.get(gram) ?? 0) + 1);
  }
  return grams;
}

function scoreOf(counts: Counts): number {
  const known = counts.filter(({ predicted, expected }) => predicted > 0 && expected > 0);
  if (known.length === 0) return 0;
  const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / known.length;
  const precision = mean(known.map(({ shared, predicted }) => shared / predicted));
  const recall = mean(known.map(({ shared, expected }) => shared / expected));
  if (precision + recall === 0) return 0;
  return (100 * (1 + beta ** 2) * precision * recall) / (beta ** 2 * precision + recall);
}
