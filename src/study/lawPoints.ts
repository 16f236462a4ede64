import type { LawPoint } from "../analysis/scalingLaw.js";
import type { StudyResults } from "./studyResults.js";

/** Below it a model does not read its source: it is another task, and no law of the whole one holds. */
const leastSourceUse = 0.3;

/**
 * The losses of a study's runs that a scaling law is fitted to: of each run the evaluations from the first one on at which it reads its source.
 *
 * @param study distinguishes runs of several studies
 */
export function lawPoints({ variants, runs }: StudyResults, study: string): LawPoint[] {
  return runs.flatMap(({ variant, seed, curve }) => {
    const { activeParameters, experts, tokensPerStep } = variants.find((each) => each.variant === variant)!;
    const first = curve.findIndex(({ sourceUse }) => sourceUse !== null && sourceUse >= leastSourceUse);
    if (activeParameters === null || experts === null || tokensPerStep === null || first < 0) return [];
    return curve.slice(first).map(({ step, quality }) => ({
      run: `${study}: ${variant}, seed ${seed}`,
      ...{ activeParameters, experts },
      positions: step * tokensPerStep,
      loss: -quality,
    }));
  });
}
