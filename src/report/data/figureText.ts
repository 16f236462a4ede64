import type { Measure } from "../../analysis/speedup.js";
import { figures, percent, plural, signed, times } from "../../base/format.js";
import { type Level, measuredRows, measureNames, noun } from "./headline.js";
import type { CandidateFacts, ReportData } from "./reportData.js";

/** What each figure shows, in a sentence or two: its alternative for a reader who does not see it. */

/** Of the histogram of speed-ups. */
export function histogramText(data: ReportData, candidate: CandidateFacts, level: Level, measure: Measure): string {
  const values = measuredRows(data, candidate, level, measure).map(({ value }) => value);
  const { mean, median } = candidate.summaries[level].measures[measure]!;
  const below = values.filter((value) => value < 1).length;
  return `Histogram of the speed-ups of ${candidate.name} over ${data.baseline.name} in ${measureNames[measure]}, over ${plural(values.length, noun(level))}: from ${times(Math.min(...values))} to ${times(Math.max(...values))}, mean ${times(mean.value)}, median ${times(median.value)}; ${below} below 1×.`;
}

/** Of the overlaid histograms of all candidates. */
export function overlayText(data: ReportData, level: Level, measure: Measure): string {
  const parts = data.candidates.flatMap((candidate) => {
    const mean = candidate.summaries[level].measures[measure]?.mean.value;
    return mean === undefined ? [] : [`${candidate.name} mean ${times(mean)}`];
  });
  return `Histograms of the speed-ups of all candidates over ${data.baseline.name} in ${measureNames[measure]}: ${parts.join(", ")}.`;
}

/** Of the chart of final qualities. */
export function pairsText(data: ReportData, candidate: CandidateFacts): string {
  const gains = candidate.rows.map((row, i) => ({ name: data.languages[i].name, gain: row.gain.value }));
  const [least, ...rest] = [...gains].sort((a, b) => a.gain - b.gain);
  const most = rest.at(-1) ?? least;
  const better = gains.filter(({ gain }) => gain > 0).length;
  return `Final negative log perplexity of both in ${plural(gains.length, "language")}: ${candidate.name} is better in ${better}; the largest gain is ${signed(most.gain)} in ${most.name}, the smallest ${signed(least.gain)} in ${least.name}.`;
}

/** Of the learning curves of a language, or of the mean where `code` is empty. */
export function curveText(data: ReportData, candidate: CandidateFacts, code: string): string {
  const language = data.languages.find((other) => other.code === code);
  const end = ({ curves, macro }: ReportData["baseline"]): string =>
    figures((code === "" ? macro : curves[code]).at(-1) ?? Number.NaN);
  const row = candidate.rows.find((other) => other.code === code) ?? candidate.macroSpeedup;
  return `Learning curves, ${language ? language.name : "mean over languages"}: ${data.baseline.name} ends at ${end(data.baseline)}, ${candidate.name} at ${end(candidate)}; both are equally good at steps ${Math.round(row.match.baselineStep).toLocaleString("en-US")} and ${Math.round(row.match.candidateStep).toLocaleString("en-US")}, a speed-up of ${times(row.step.value)}.`;
}

/** Of the map of experts by language in a layer. */
export function mapText(data: ReportData, candidate: CandidateFacts, layer: number): string {
  const facts = candidate.routing?.layers[layer];
  if (!facts) return "";
  const peaks = facts.byLanguage.map((load, i) => ({ load: Math.max(...load, 0), name: data.languages[i].name }));
  const top = peaks.reduce((a, b) => (b.load > a.load ? b : a));
  return `Load of each expert by language in layer ${facts.layer}. The most uneven language is ${top.name}, with ${times(top.load)} a balanced load on one expert.`;
}

/** Of the entropies by language and layer. */
export function entropyText(data: ReportData, { routing }: CandidateFacts): string {
  if (!routing) return "";
  const cells = routing.layers.flatMap(({ layer, entropy }) =>
    entropy.flatMap((value, i) => (value === null ? [] : [{ value, what: `${data.languages[i].name} in ${layer}` }])),
  );
  if (cells.length === 0) return "";
  const [least, ...rest] = cells.sort((a, b) => a.value - b.value);
  const most = rest.at(-1) ?? least;
  return `Entropy of each language's choice of experts in every layer; ${figures(Math.log(routing.experts))} nats would be an even choice among ${routing.experts}. Lowest ${figures(least.value)} for ${least.what}, highest ${figures(most.value)} for ${most.what}.`;
}

/** Of the loads of all layers. */
export function layersText(candidate: CandidateFacts): string {
  const layers = candidate.routing?.layers ?? [];
  const busiest = layers.map(({ layer, load }) => `${layer} ${times(Math.max(...load))}`);
  return `Load of each expert in every layer at the last evaluation; the busiest expert's is, by layer: ${busiest.join(", ")}.`;
}

/** Of the busiest expert over training. */
export function balanceText(candidate: CandidateFacts, layer: number): string {
  const facts = candidate.routing?.layers[layer];
  if (!facts) return "";
  const dropped = facts.dropped.at(-1) ?? Number.NaN;
  return `Load of the busiest expert at each evaluation, from ${times(facts.busiest[0])} to ${times(facts.busiest.at(-1) ?? Number.NaN)} in layer ${facts.layer}, where ${percent(dropped)} of the tokens find no place at the end.`;
}
