import { measures } from "../../analysis/speedup.js";
import { count, figures, formatDuration, formatFlops, hundredths, percent, times } from "../../base/format.js";
import type { Run } from "../../run/readRun.js";
import { boundSign, measureNames } from "../data/headline.js";
import type { CandidateFacts, ReportData, RunFacts } from "../data/reportData.js";
import { type Html, html } from "../render/html.js";

type Row = [name: string, title: string, cell: (run: RunFacts, baseline: RunFacts) => string];

/** What each run cost: rows of the table, also used for Markdown. */
export const costRows: Row[] = [
  ["Model", "", ({ model }) => model],
  ["Parameters", "All of them, embeddings included", ({ parameters }) => count(parameters)],
  ["FLOPs a step", "Forward and backward", (run) => formatFlops(run.flopsPerStep)],
  [
    "… of the baseline's",
    "1× is FLOP-matched",
    (run, baseline) => `${figures(run.flopsPerStep / baseline.flopsPerStep)}×`,
  ],
  ["Tokens a step", "", ({ tokensPerStep }) => count(tokensPerStep)],
  ["Steps", "Evaluated last, of those planned", (run) => stepsOf(run)],
  ["Tokens a second", "Mean over the run", (run) => (run.tokensPerSecond === null ? "–" : count(run.tokensPerSecond))],
  [
    "Training time",
    "Without evaluation and checkpoints",
    (run) => (run.trainSeconds === null ? "–" : formatDuration(run.trainSeconds)),
  ],
  ["Compute", "FLOPs a step times steps", (run) => formatFlops(run.flopsPerStep * run.lastStep)],
  [
    "Source use",
    "Nats a token lost with another text as the source; about 0: it does not read it. In brackets by seed",
    ({ meanSourceUse, seedSourceUses }) =>
      hundredths(meanSourceUse) +
      (seedSourceUses && seedSourceUses.length > 1 ? ` (${seedSourceUses.map(hundredths).join(", ")})` : ""),
  ],
  ["Backend", "", ({ backend }) => backend],
  ["Seeds", "", ({ seeds }) => seeds.join(", ")],
];

function stepsOf({ lastStep, totalSteps, finished }: RunFacts): string {
  const steps = lastStep.toLocaleString("en-US");
  return finished ? steps : `${steps} of ${totalSteps.toLocaleString("en-US")} (${percent(lastStep / totalSteps)})`;
}

/** What each candidate gave for it, over languages. */
export const gainRows: [name: string, cell: (candidate: CandidateFacts) => string][] = [
  ...measures.map((measure): [string, (candidate: CandidateFacts) => string] => [
    `Mean speed-up in ${measureNames[measure]}`,
    ({ summaries: { languages } }) => {
      const mean = languages.measures[measure]?.mean;
      return mean ? boundSign(languages) + times(mean.value) : "–";
    },
  ]),
  ["Languages better at the end", ({ summaries }) => percent(summaries.languages.improved.value)],
];

/** What each run is, cost, and gave. */
export function costTable({ baseline, candidates }: ReportData): Html {
  const runs = [baseline, ...candidates];
  return html`<table class="costs">
    <caption class="hidden">Size and cost of every run</caption>
    <thead><tr><td></td>${runs.map(
      (run, i) => html`<th scope="col" class="number">${run.name}
      <small>${i === 0 ? "baseline" : "candidate"}</small></th>`,
    )}</tr></thead>
    <tbody>${costRows.map(
      ([name, title, cell]) =>
        html`<tr><th scope="row">${name}${title && html` <small>${title}</small>`}</th>
          ${runs.map((run) => html`<td class="number">${cell(run, baseline)}</td>`)}</tr>`,
    )}
    ${gainRows.map(
      ([name, cell]) =>
        html`<tr><th scope="row">${name}</th><td class="number">–</td>${candidates.map((run) => html`<td class="number">${cell(run)}</td>`)}</tr>`,
    )}</tbody>
  </table>`;
}

/** Configuration and provenance of every run, folded up. */
export function provenance(runs: readonly Run[]): Html {
  return html`${runs.map(
    ({ dir, description, config, environment }) => html`<details>
      <summary>${description.name} <small>${description.model}, seed ${description.seed}</small></summary>
      <dl class="facts">
        <dt>Directory</dt><dd><code>${dir}</code></dd>
        <dt>Vocabulary</dt><dd><code>${description.vocabulary}</code></dd>
        <dt>Dataset</dt><dd><code>${description.dataset}</code></dd>
        <dt>Validation examples</dt><dd><code>${description.evalExamples}</code></dd>
      </dl>
      ${config && html`<h3>config.yaml</h3><pre tabindex="0">${config}</pre>`}
      ${environment && html`<h3>environment.json</h3><pre tabindex="0">${environment}</pre>`}
    </details>`,
  )}`;
}
