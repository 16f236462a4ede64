import { expect, test } from "vitest";
import { fitScalingLaw, lawError, lawLoss, publishedLaw } from "../analysis/scalingLaw.js";
import { ladderTable } from "./ladderTable.js";
import { lawPoints } from "./lawPoints.js";
import type { StudyResults, VariantResult } from "./studyResults.js";

const sizes = [1e5, 2e5, 4e5];
const experts = [1, 4, 16];
const steps = Array.from({ length: 9 }, (_, i) => 500 * i);

/** A study whose losses the published law gives, with a plateau up to step 500. */
const study = (): StudyResults => {
  const variants = sizes.flatMap((activeParameters) =>
    experts.map((count) => ({
      ...{ variant: `${activeParameters}, ${count}`, activeParameters, experts: count, tokensPerStep: 10_000 },
      ...{ positions: 4e7, quality: { mean: -3, deviation: null, interval: null, seeds: 1 } },
    })),
  ) as VariantResult[];
  return {
    ...{
      title: "",
      result: "last",
      baseline: "",
      threshold: null,
      seeds: [1, 2],
      variants,
      distilled: [],
      tasks: [],
      taskMeans: [],
      missing: [],
    },
    runs: variants.flatMap(({ variant, activeParameters, experts: count }) =>
      [1, 2].map((seed) => ({
        ...{ variant, seed, speedup: null, gain: null },
        curve: steps.map((step) => ({
          step,
          quality:
            step <= 500
              ? -9
              : -lawLoss(publishedLaw, {
                  ...{ activeParameters: activeParameters!, experts: count!, positions: 10_000 * step },
                }),
          sourceUse: step <= 500 ? 0.05 : 0.4,
        })),
      })),
    ),
  };
};

test("a law is fitted to what runs measured once they read their source", () => {
  const points = lawPoints(study(), "ladder");
  expect(points).toHaveLength(sizes.length * experts.length * 2 * 7);
  expect(Math.min(...points.map(({ positions }) => positions))).toBe(1e7);
  expect(lawError(fitScalingLaw(points, { ...publishedLaw, b: 20 }), points)).toBeLessThan(1e-3);
});

test("a row a size, with the speed-up of each number of experts over that size's dense model", () => {
  const [header, , ...rows] = ladderTable(study()).split("\n");
  expect(header).toContain("4 experts");
  expect(rows).toHaveLength(sizes.length);
  for (const row of rows) expect(row).toMatch(/\| \d\.\d\d× \(.*, 2 seeds\) \| \d\.\d\d× \(.*, 2 seeds\) \|$/);
  expect(rows[0]).toContain("| 400 |");
});
