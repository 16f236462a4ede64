import type { Estimate } from "../../analysis/bootstrap.js";
import type { LanguageSpeedup, Measure } from "../../analysis/speedup.js";
import { count, figures, signed } from "../../base/format.js";
import { isFoundBy } from "../data/findByName.js";
import type { CandidateFacts, LanguageFacts, ReportData } from "../data/reportData.js";
import { interval, markedTimes } from "../format.js";
import { type Html, html } from "../render/html.js";
import { type ForestScale, forestCell, forestScale, sparkCell } from "./cells.js";

/** One line of the table: a language with its row of a candidate. */
export interface TableLine {
  language: LanguageFacts;
  row: LanguageSpeedup;
}

interface Column {
  key: string;
  label: string;
  /** What it is, in a sentence. */
  title: string;
  /** What lines are sorted by; a column without it cannot be sorted. */
  sort?: (line: TableLine) => number | string;
  cell: (line: TableLine) => Html;
}

const number = (text: string, extra: Html | false = false): Html => html`<td class="number">${text}${extra}</td>`;

function speedupColumn(measure: Measure, label: string, title: string): Column {
  return {
    key: measure,
    label,
    title,
    sort: ({ row }) => row[measure]?.value ?? Number.NEGATIVE_INFINITY,
    cell: ({ row }) => speedupCell(row[measure], row),
  };
}

function speedupCell(estimate: Estimate | null, { match }: LanguageSpeedup): Html {
  if (!estimate) return number("–");
  const ends = interval(estimate);
  return number(markedTimes(estimate.value, match), ends !== "" && html`<small>${ends}</small>`);
}

/** The table's columns for a candidate. */
export function tableColumns(data: ReportData, candidate: CandidateFacts): Column[] {
  const scale: ForestScale = forestScale(candidate.rows);
  const { baseline } = data;
  return [
    {
      key: "name",
      label: "Language",
      title: "Name and mC4's code",
      sort: ({ language }) => language.name,
      cell: ({ language }) =>
        html`<th scope="row"><button type="button" class="pick" data-language="${language.code}"
          title="Show this language's learning curves">${language.name}</button>
          <span class="second">${language.ownName && html`<span lang="${language.code}" dir="auto" class="own">${language.ownName}</span> `}<code>${language.code}</code></span></th>`,
    },
    {
      key: "curve",
      label: "Curves",
      title: "Negative log perplexity over training steps, candidate in colour, baseline grey",
      cell: ({ language }) => sparkCell(baseline, candidate, language.code),
    },
    {
      key: "baseline",
      label: "Baseline",
      title: "The baseline's final negative log perplexity, nats per target token",
      sort: ({ row }) => row.baselineFinal,
      cell: ({ row }) => number(figures(row.baselineFinal)),
    },
    {
      key: "candidate",
      label: "Candidate",
      title: "The candidate's final negative log perplexity, nats per target token",
      sort: ({ row }) => row.candidateFinal,
      cell: ({ row }) => number(figures(row.candidateFinal)),
    },
    {
      key: "gain",
      label: "Gain",
      title: "Difference of the two, with its 95 % interval",
      sort: ({ row }) => row.gain.value,
      cell: ({ row }) =>
        number(
          signed(row.gain.value),
          row.gain.interval !== null && html`<small>${interval(row.gain, (end) => figures(end, 2))}</small>`,
        ),
    },
    speedupColumn("step", "Steps", "Speed-up in training steps, with its 95 % interval"),
    {
      key: "forest",
      label: scale.label,
      title: "Step speed-up and its interval on a logarithmic scale; the line is 1×",
      cell: ({ row }) => forestCell(row, scale),
    },
    speedupColumn("time", "Time", "Speed-up in training time, with its 95 % interval"),
    speedupColumn("flops", "FLOPs", "Speed-up in floating-point operations, with its 95 % interval"),
    {
      key: "epochs",
      label: "Epochs",
      title: "How often the candidate's run reads the language's training data",
      sort: ({ language }) => candidate.epochs[language.code] ?? -1,
      cell: ({ language: { code } }) => number(code in candidate.epochs ? figures(candidate.epochs[code]) : "–"),
    },
    {
      key: "tokens",
      label: "Train tokens",
      title: "Training tokens of the language in the dataset",
      sort: ({ language }) => language.trainTokens ?? -1,
      cell: ({ language }) => number(language.trainTokens === null ? "–" : count(language.trainTokens)),
    },
  ];
}

/** How the table stands: what it is sorted by, and which languages are looked for. */
export interface TableState {
  key: string;
  descending: boolean;
  query: string;
}

/** The lines that match the query, in order. */
export function tableLines(
  data: ReportData,
  candidate: CandidateFacts,
  { key, descending, query }: TableState,
): TableLine[] {
  const column = tableColumns(data, candidate).find((other) => other.key === key);
  const lines = data.languages
    .map((language, i): TableLine => ({ language, row: candidate.rows[i] }))
    .filter(({ language }) => isFoundBy(query, language));
  const sort = column?.sort;
  if (!sort) return lines;
  const sign = descending ? -1 : 1;
  return lines.sort((a, b) => {
    const [x, y] = [sort(a), sort(b)];
    return sign * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en"));
  });
}

/** The whole table; its header cells hold buttons that sort. */
export function languageTable(data: ReportData, candidate: CandidateFacts, state: TableState): Html {
  const columns = tableColumns(data, candidate);
  const lines = tableLines(data, candidate, state);
  return html`<table class="names">
    <caption class="hidden">Every language: final quality, gain and speed-up of ${candidate.model} over ${data.baseline.model}</caption>
    <thead><tr>${columns.map((column) => headerCell(column, state))}</tr></thead>
    <tbody>${lines.map((line) => html`<tr>${columns.map((column) => column.cell(line))}</tr>`)}</tbody>
  </table>`;
}

function headerCell({ key, label, title, sort }: Column, state: TableState): Html {
  if (!sort) return html`<th scope="col" title="${title}">${label}</th>`;
  const order = state.key !== key ? "none" : state.descending ? "descending" : "ascending";
  return html`<th scope="col" aria-sort="${order}"${key !== "name" && html` class="number"`}>
    <button type="button" data-sort="${key}" title="${title}">${label}<span aria-hidden="true" class="arrow"></span></button></th>`;
}
