import type { Measure } from "../../analysis/speedup.js";
import { histogram } from "../../analysis/summary.js";
import { times } from "../../base/format.js";
import type { CurveInput } from "../charts/curveChart.js";
import type { HeatInput } from "../charts/heatChart.js";
import type { HistogramInput } from "../charts/histogramChart.js";
import type { LanguageChartInput, LanguagePair } from "../charts/languageChart.js";
import { candidateColour, type Palette } from "../charts/palette.js";
import { boundSign, type Level, measureNames, noun } from "./headline.js";
import type { ReportData } from "./reportData.js";
import type { LayerFacts } from "./routingFacts.js";

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
  const rows = candidate.rows.filter(
    (row, i) => row[measure] !== null && (level === "tasks" || data.languages[i].main),
  );
  const values = rows.map((row) => row[measure]!.value);
  const bins = histogram(values);
  const bounds = bins.map(
    ({ low, high }, i) =>
      rows.filter(({ match }, at) => {
        const last = i === bins.length - 1;
        return match.bound !== "none" && values[at] >= low && (values[at] < high || (last && values[at] <= high));
      }).length,
  );
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

/** Load of every expert in every layer. */
export function layerHeatInput(layers: readonly LayerFacts[]): HeatInput {
  return {
    rows: layers.map(({ layer, dropped }) => ({
      label: layer,
      title: `${layer}, ${dropped.at(-1)!.toFixed(3)} dropped`,
    })),
    values: layers.map(({ load }) => load),
  };
}

/** How the languages of the expert map can be ordered. */
export const mapOrders = { expert: "the expert that serves them most", name: "name" } as const;
export type MapOrder = keyof typeof mapOrders;

/** Which experts of a layer serve which languages. Ordered by expert, languages that share one stand together. */
export function languageHeatInput(data: ReportData, { byLanguage }: LayerFacts, order: MapOrder): HeatInput {
  const lines = data.languages.map(({ code, name }, i) => {
    const load = byLanguage[i];
    const peak = Math.max(...load);
    return { row: { label: name, title: `${name} (${code})` }, load, peak, top: load.indexOf(peak) };
  });
  const byName = (a: (typeof lines)[0], b: (typeof lines)[0]): number => a.row.label.localeCompare(b.row.label, "en");
  lines.sort(order === "name" ? byName : (a, b) => a.top - b.top || b.peak - a.peak);
  const known = lines.filter(({ load }) => load.length > 0);
  return { rows: known.map(({ row }) => row), values: known.map(({ load }) => load) };
}
