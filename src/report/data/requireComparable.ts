import { usageError } from "../../base/errors.js";
import type { Run } from "../../run/readRun.js";
import type { RunDescription } from "../../run/runFiles.js";

const mustAgree = [
  ["vocabulary", "their tokens are not the same units, so a perplexity per token cannot be compared"],
  ["dataset", "they learned from different data"],
  ["evalExamples", "they were measured on different validation examples"],
] as const satisfies [keyof RunDescription, string][];

/**
 * Refuses to compare runs that do not answer the same question.
 *
 * @throws usageError naming the two runs, what differs, and why it matters
 */
export function requireComparable(baseline: Run, candidates: readonly Run[]): void {
  for (const candidate of candidates) {
    for (const [key, why] of mustAgree) {
      if (baseline.description[key] === candidate.description[key]) continue;
      throw usageError(`the runs ${baseline.dir} and ${candidate.dir} cannot be compared: ${key} differs`, {
        code: "runs-not-comparable",
        where: candidate.dir,
        why,
        hint: "train both on one dataset with the same evaluation settings (stream.inputLength and noiseDensity, evaluation.examplesPerLanguage)",
      });
    }
    const code = languageWithOtherExamples(baseline, candidate);
    if (code) {
      throw usageError(
        `the runs ${baseline.dir} and ${candidate.dir} were evaluated on different examples of ${code}`,
        {
          code: "runs-not-comparable",
          where: candidate.dir,
        },
      );
    }
  }
}

function languageWithOtherExamples(baseline: Run, candidate: Run): string | undefined {
  const mine = baseline.points[0].languages;
  const theirs = candidate.points[0].languages;
  return Object.keys(mine).find(
    (code) => Object.hasOwn(theirs, code) && mine[code].exampleTokens.join() !== theirs[code].exampleTokens.join(),
  );
}
