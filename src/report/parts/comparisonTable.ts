import { bigSpeedup, type MeasureSummary } from "../../analysis/summary.js";
import { percent, signed, times } from "../../base/format.js";
import { candidateVariable } from "../charts/palette.js";
import { boundSign, type Level, noun, shortFinding } from "../data/headline.js";
import type { CandidateFacts, ReportData } from "../data/reportData.js";
import { interval, markedTimes, percentInterval } from "../format.js";
import { type Html, html } from "../render/html.js";

interface ComparisonColumn {
  label: string;
  /** What it is, in a sentence. */
  title: string;
  /** Value and its interval, where it has one. */
  cell: (candidate: CandidateFacts, data: ReportData, level: Level) => [value: string, interval?: string];
}

/** What is compared of several candidates: columns of the table, also used for Markdown. */
export const comparisonColumns: ComparisonColumn[] = [
  {
    label: "Finding",
    title: "Whether the interval of the mean speed-up in steps lies above or below 1×",
    cell: (candidate, data, level) => [shortFinding(data, candidate, level)],
  },
  {
    label: "Mean, steps",
    title: "Mean of the speed-ups in steps, with its 95 % interval",
    cell: (candidate, _data, level) => meanOf(candidate, level, "step"),
  },
  {
    label: "Mean, time",
    title: "Mean of the speed-ups in training time, with its 95 % interval",
    cell: (candidate, _data, level) => meanOf(candidate, level, "time"),
  },
  {
    label: "Mean, FLOPs",
    title: "Mean of the speed-ups in FLOPs, with its 95 % interval",
    cell: (candidate, _data, level) => meanOf(candidate, level, "flops"),
  },
  {
    label: "Median, steps",
    title: "Median of the speed-ups in steps, with its 95 % interval",
    cell: ({ summaries }, _data, level) => estimateOf(summaries[level].measures.step!.median),
  },
  {
    label: "Mean curve",
    title: "Speed-up in steps of the mean curve over languages",
    cell: ({ macroSpeedup: { step, match } }) => [markedTimes(step.value, match)],
  },
  {
    label: `At ${bigSpeedup}×`,
    title: `Share with a speed-up in steps of ${bigSpeedup}× or more`,
    cell: ({ summaries }, _data, level) => {
      const { big } = summaries[level].measures.step!;
      return [percent(big.value), percentInterval(big)];
    },
  },
  {
    label: "Better at the end",
    title: "Share with a better final quality than the baseline's",
    cell: ({ summaries }, _data, level) => {
      const { improved } = summaries[level];
      return [percent(improved.value), percentInterval(improved)];
    },
  },
  {
    label: "Gain",
    title: "Mean gain in final negative log perplexity, nats a token",
    cell: ({ summaries }, _data, level) => [signed(summaries[level].gain.value), interval(summaries[level].gain)],
  },
];

function meanOf({ summaries }: CandidateFacts, level: Level, measure: "step" | "time" | "flops"): [string, string?] {
  const known = summaries[level].measures[measure];
  return known ? estimateOf(known.mean, boundSign(summaries[level])) : ["–"];
}

function estimateOf(estimate: MeasureSummary["mean"], sign = ""): [string, string] {
  return [sign + times(estimate.value), interval(estimate)];
}

/** All candidates beside each other; a click on a name shows that candidate everywhere. */
export function comparisonTable(data: ReportData, level: Level, picked: number): Html {
  return html`<table class="compared">
    <caption class="hidden">All candidates against ${data.baseline.name}, over ${noun(level)}s</caption>
    <thead><tr><th scope="col">Candidate</th>${comparisonColumns.map(
      ({ label, title }, i) => html`<th scope="col" title="${title}"${i > 0 && html` class="number"`}>${label}</th>`,
    )}</tr></thead>
    <tbody>${data.candidates.map(
      (
        candidate,
        i,
      ) => html`<tr><th scope="row"><span class="keyed"><svg class="key" width="14" height="14" aria-hidden="true" focusable="false"><circle cx="7" cy="7" r="5" style="fill:${candidateVariable(i)}"/></svg>
        <button type="button" class="pick" data-candidate="${i}" aria-pressed="${i === picked ? "true" : "false"}" title="Show this candidate in every figure">${candidate.name}</button></span></th>
        ${comparisonColumns.map(({ cell }, at) => {
          const [value, ends] = cell(candidate, data, level);
          return html`<td${at > 0 && html` class="number"`}>${value}${ends && html`<small>${ends}</small>`}</td>`;
        })}</tr>`,
    )}</tbody>
  </table>`;
}
