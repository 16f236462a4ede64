import type { Measure } from "../../analysis/speedup.js";
import { countBetween, histogram } from "../../analysis/summary.js";
import { times } from "../../base/format.js";
import type { CurveInput } from "../charts/curveChart.js";
import type { HistogramInput } from "../charts/histogramChart.js";
import type { LanguageChartInput, LanguagePair } from "../charts/languageChart.js";
import type { OverlayInput } from "../charts/overlayChart.js";
import { candidateColour, type Palette } from "../charts/palette.js";
import { boundSign, type Level, measuredRows, measureNames, noun } from "./headline.js";
import type { ReportData } from "./reportData.js";

/** How the pairs of the per-language chart can be ordered. */
export const pairOrders = {
  baseline: "baseline's quality",
  gain: "gain",
  candidate: "candidate's quality",
  code: "code",
} as const;
export type PairOrder = keyof typeof pairOrders;

/** Speed-ups of candidate number `index` for the histogram; the paper's mean stands beside them only where it is in reach. */
export function histogramInput(
  data: ReportData,
  index: number,
  level: Level,
  measure: Measure,
  palette: Palette,
): HistogramInput {
  const candidate = data.candidates[index];
  const rows = measuredRows(data, candidate, level, measure);
  const bins = histogram(rows.map(({ value }) => value));
  const bounded = rows.filter(({ row }) => row.match.bound !== "none").map(({ value }) => value);
  const bounds = countBetween(bounded, [bins[0].low, ...bins.map(({ high }) => high)]);
  const { mean } = candidate.summaries[level].measures[measure]!;
  const colour = candidateColour(palette, index);
  const { meanStepSpeedup } = data.published;
  const inReach = measure === "step" && meanStepSpeedup <= bins[bins.length - 1].high * 1.25;
  return {
    bins,
    bounds,
    name: `speed-up in ${measureNames[measure]}`,
    noun: noun(level),
    colour,
    marks: [
      { value: 1, label: "1×: the baseline", colour: palette.muted, dashed: true },
      {
        value: mean.value,
        label: `mean ${boundSign(candidate.summaries[level])}${times(mean.value)}`,
        colour: palette.ink,
      },
      ...(inReach
        ? [
            {
              value: meanStepSpeedup,
              label: `the paper's mean, ${meanStepSpeedup}×`,
              colour: palette.reference,
              dashed: true,
            },
          ]
        : []),
    ],
  };
}

/** Speed-ups of all candidates, in bins that they share. */
export function overlayInput(data: ReportData, level: Level, measure: Measure, palette: Palette): OverlayInput {
  const all = data.candidates.map((candidate, i) => ({
    name: candidate.name,
    values: measuredRows(data, candidate, level, measure).map(({ value }) => value),
    mean: candidate.summaries[level].measures[measure]?.mean.value,
    colour: candidateColour(palette, i),
  }));
  const bins = histogram(all.flatMap(({ values }) => values));
  const edges = [bins[0].low, ...bins.map(({ high }) => high)];
  return {
    edges,
    candidates: all.flatMap(({ values, mean, ...candidate }) =>
      mean === undefined ? [] : [{ ...candidate, mean, counts: countBetween(values, edges) }],
    ),
    name: `speed-up in ${measureNames[measure]}`,
    noun: noun(level),
  };
}

/** The paper's own Figure 8. */
export function publishedHistogramInput({ published }: ReportData, palette: Palette): HistogramInput {
  return {
    bins: published.histogram.bins,
    name: "speed-up in steps",
    noun: "task",
    colour: palette.reference,
    marks: [{ value: published.meanStepSpeedup, label: `mean ${published.meanStepSpeedup}×`, colour: palette.ink }],
  };
}

/** Final qualities of candidate number `index`, ordered. */
export function languageChartInput(
  data: ReportData,
  index: number,
  order: PairOrder,
  palette: Palette,
): LanguageChartInput {
  const candidate = data.candidates[index];
  const pairs = data.languages.map(({ code, name }, i) => ({
    code,
    name,
    baseline: candidate.rows[i].baselineFinal,
    candidate: candidate.rows[i].candidateFinal,
  }));
  return {
    pairs: pairs.sort(comparePairs[order]),
    baselineName: data.baseline.name,
    candidateName: candidate.name,
    colour: candidateColour(palette, index),
  };
}

/** The paper's own Figure 7. */
export function publishedLanguageInput({ published }: ReportData, palette: Palette): LanguageChartInput {
  return {
    pairs: [...published.figure7].sort(comparePairs.baseline),
    baselineName: `${published.baseline} (paper)`,
    candidateName: `${published.candidate} (paper)`,
    colour: palette.reference,
  };
}

const comparePairs: Record<PairOrder, (a: LanguagePair, b: LanguagePair) => number> = {
  baseline: (a, b) => a.baseline - b.baseline,
  gain: (a, b) => a.candidate - a.baseline - (b.candidate - b.baseline),
  candidate: (a, b) => a.candidate - b.candidate,
  code: (a, b) => (a.code < b.code ? -1 : 1),
};

/** Curves of all runs for a language, or their mean over languages where `code` is empty; the gap is that of candidate `index`. */
export function curveInput(
  data: ReportData,
  index: number,
  code: string,
  logarithmic: boolean,
  palette: Palette,
): CurveInput {
  const runs = [data.baseline, ...data.candidates];
  const picked = data.candidates[index];
  const row = picked.rows.find((other) => other.code === code) ?? picked.macroSpeedup;
  return {
    curves: runs.map((run, i) => ({
      name: run.name,
      steps: run.steps,
      quality: code === "" ? run.macro : run.curves[code],
      measured: code === "" ? run.measuredMacro : run.measured[code],
      colour: i === 0 ? palette.baseline : candidateColour(palette, i - 1),
      baseline: i === 0,
    })),
    match: { match: row.match, speedup: row.step.value, colour: candidateColour(palette, index) },
    logarithmic,
  };
}
