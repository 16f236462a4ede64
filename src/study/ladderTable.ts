import { matchQuality, rising } from "../analysis/crossing.js";
import { type SeedMean, seedMean } from "../analysis/seeds.js";
import { count, figures, signed, times } from "../base/format.js";
import type { RunResult, StudyResults, VariantResult } from "./studyResults.js";
import { table } from "./studyTables.js";

const none = "–";

/**
 * A study of several sizes as a table: a row for each size and budget, a column for each number of experts, with the step speed-up over the
 * dense model of the same size (of the mean curve over languages) and the gain at the end, means over seeds that both have.
 */
export function ladderTable({ variants, runs }: StudyResults): string {
  const experts = [...new Set(variants.flatMap((each) => each.experts ?? []))]
    .filter((n) => n > 1)
    .sort((a, b) => a - b);
  const dense = variants.filter((each) => each.experts === 1);
  const runsOf = ({ variant }: VariantResult): RunResult[] => runs.filter((run) => run.variant === variant);
  const rows = dense.map((base) => {
    const positions = base.positions ?? 0;
    const cells = experts.map((n) => {
      const other = variants.find(
        (each) =>
          each.experts === n && each.activeParameters === base.activeParameters && each.positions === base.positions,
      );
      const pairs = (other ? runsOf(other) : []).flatMap((run) => {
        const twin = runsOf(base).find(({ seed }) => seed === run.seed);
        return twin ? [compare(twin, run)] : [];
      });
      return cell(seedMean(pairs.map(({ speedup }) => speedup)), seedMean(pairs.map(({ gain }) => gain)));
    });
    return [
      count(base.activeParameters ?? 0),
      count(positions),
      figures(positions / (base.activeParameters ?? Number.NaN)),
      base.quality ? base.quality.mean.toFixed(3) : none,
      ...cells,
    ];
  });
  const names = ["active parameters", "positions", "positions a parameter", "dense quality"];
  return table([...names, ...experts.map((n) => `${n} experts`)], rows);
}

/** Speed-up and gain of the curves of means over languages. */
function compare(dense: RunResult, sparse: RunResult): { speedup: number; gain: number } {
  const [a, b] = [dense, sparse].map(({ curve }) => ({
    steps: curve.map(({ step }) => step),
    quality: curve.map(({ quality }) => quality),
  }));
  const { baselineStep, candidateStep } = matchQuality(a, b);
  const [endOfDense, endOfSparse] = [a, b].map((curve) => Array.from(rising(curve).quality).at(-1)!);
  return { speedup: baselineStep / candidateStep, gain: endOfSparse - endOfDense };
}

function cell(speedup: SeedMean | null, gain: SeedMean | null): string {
  if (!speedup || !gain) return none;
  return `${times(speedup.mean)} (${signed(gain.mean)}${speedup.seeds > 1 ? `, ${speedup.seeds} seeds` : ""})`;
}
