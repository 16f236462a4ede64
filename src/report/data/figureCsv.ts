import type { Measure } from "../../analysis/speedup.js";
import { type Level, measuredRows } from "./headline.js";
import type { CandidateFacts, ReportData } from "./reportData.js";

/** The numbers behind each figure as CSV (RFC 4180): what a reader plots again. */

/** One line a candidate and language; for the histogram of one candidate and for that of all. */
export function histogramCsv(
  data: ReportData,
  candidates: readonly CandidateFacts[],
  level: Level,
  measure: Measure,
): string {
  const rows = candidates.flatMap((candidate) =>
    measuredRows(data, candidate, level, measure).map(({ row, value }) => [
      candidate.name,
      row.code,
      value,
      row.match.bound,
    ]),
  );
  return csv([["candidate", "code", `${measure}_speedup`, "bound"], ...rows]);
}

export function pairsCsv({ languages }: ReportData, { rows }: CandidateFacts): string {
  const lines = rows.map((row, i) => [row.code, languages[i].name, row.baselineFinal, row.candidateFinal]);
  return csv([["code", "name", "baseline_nlp", "candidate_nlp"], ...lines]);
}

/** Every run's curve of a language, or of the mean where `code` is empty: one line a run and evaluation. */
export function curveCsv({ baseline, candidates }: ReportData, code: string): string {
  const lines = [baseline, ...candidates].flatMap(({ name, steps, macro, measuredMacro, curves, measured }) => {
    const [rising, raw] = code === "" ? [macro, measuredMacro] : [curves[code], measured[code]];
    return steps.map((step, i) => [name, step, raw[i], rising[i]]);
  });
  return csv([["run", "step", "nlp_measured", "nlp_rising"], ...lines]);
}

/** Loads of experts by row: languages in a layer, or layers. */
export function loadCsv(rows: readonly { label: string; load: readonly number[] }[]): string {
  const experts = Math.max(0, ...rows.map(({ load }) => load.length));
  const header = ["row", ...Array.from({ length: experts }, (_, e) => `expert_${e}`)];
  return csv([header, ...rows.map(({ label, load }) => [label, ...load])]);
}

/** The busiest expert's load and the share of dropped tokens of every layer at every evaluation. */
export function balanceCsv({ routing }: CandidateFacts): string {
  const lines = (routing?.layers ?? []).flatMap(({ layer, busiest, dropped }) =>
    busiest.map((load, i) => [layer, routing!.steps[i], load, dropped[i]]),
  );
  return csv([["layer", "step", "busiest_load", "dropped"], ...lines]);
}

/** Entropy of each language's choice of experts in every layer, nats; an even choice has ln(experts). */
export function entropyCsv({ languages }: ReportData, { routing }: CandidateFacts): string {
  const lines = (routing?.layers ?? []).flatMap(({ layer, entropy }) =>
    entropy.map((value, i) => [languages[i].code, layer, value, Math.log(routing!.experts)]),
  );
  return csv([["code", "layer", "entropy", "even"], ...lines]);
}

/** The paper's own figures, as they were read. */
export function publishedHistogramCsv({ published }: ReportData): string {
  return csv([["low", "high", "tasks"], ...published.histogram.bins.map(({ low, high, count }) => [low, high, count])]);
}

export function publishedPairsCsv({ published }: ReportData): string {
  const lines = published.figure7.map(({ code, name, baseline, candidate }) => [code, name, baseline, candidate]);
  return csv([["code", "name", "baseline_nlp", "candidate_nlp"], ...lines]);
}

/** Lines of cells; an empty cell is unknown. A text that a spreadsheet would run as a formula is marked as text. */
export function csv(lines: readonly (readonly (string | number | boolean | null | undefined)[])[]): string {
  return lines.map((cells) => `${cells.map(cell).join(",")}\r\n`).join("");
}

function cell(value: string | number | boolean | null | undefined): string {
  if (value === null || value === undefined) return "";
  if (typeof value !== "string") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
