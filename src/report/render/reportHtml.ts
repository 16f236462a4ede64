import type { InspectReport } from "../../analysis/tokenStatistics.js";
import type { Run } from "../../run/readRun.js";
import { pairOrders } from "../data/chartInputs.js";
import { datasetView } from "../data/datasetView.js";
import { hasVariants, measured, measureNames } from "../data/headline.js";
import type { ReportData } from "../data/reportData.js";
import { mapOrders } from "../data/routingInputs.js";
import { comparisonTable } from "../parts/comparisonTable.js";
import { datasetSections, datasetSummary } from "../parts/datasetSections.js";
import { languageTable } from "../parts/languageTable.js";
import { method } from "../parts/method.js";
import { costTable, provenance } from "../parts/runTables.js";
import { summaryTiles } from "../parts/summaryTiles.js";
import { type Html, html } from "./html.js";
import { pageHtml } from "./pageHtml.js";

/**
 * The whole page, ECharts included.
 *
 * @param dataset what the runs were trained on, where it is to be shown
 */
export function reportHtml(data: ReportData, runs: readonly Run[], dataset?: InspectReport): string {
  const [first] = data.candidates;
  const title = `${first.name} against ${data.baseline.name}`;
  return pageHtml({
    title,
    brand: "mswitch report",
    skipTo: "To the results",
    nav: html`${data.candidates.length > 1 && html`<a href="#comparison">Comparison</a> `}<a href="#speedups">Speed-ups</a> <a href="#languages">Languages</a> <a href="#curves">Curves</a>
    <a href="#table">Table</a> ${data.candidates.some(({ routing }) => routing) && html`<a href="#experts">Experts</a>`}
    <a href="#costs">Costs</a> ${dataset && html`<a href="#dataset">Data</a>`} <a href="#method">Method</a>`,
    main: sections(data, runs, dataset),
    footer: html`Made by <code>mswitch report</code>. This page holds its data and can be sent as one file:
  <button type="button" class="link" data-file="speedups.csv">speedups.csv</button>,
  <button type="button" class="link" data-file="speedups.json">speedups.json</button>.`,
    data: { data, ...(dataset ? { "dataset-data": datasetView(dataset) } : {}) },
    script: "report-page.js",
  });
}

function sections(data: ReportData, runs: readonly Run[], dataset: InspectReport | undefined): Html {
  const [first] = data.candidates;
  const several = data.candidates.length > 1;
  return html`
<h1><span id="model">${first.name}</span> <span class="against">against ${data.baseline.name}</span></h1>
<section id="summary" style="margin-top:0" aria-label="Summary">
  <div class="controls">
    ${
      several &&
      picker(
        "candidate",
        "Candidate",
        data.candidates.map(({ name }, i) => [String(i), name]),
      )
    }
    ${
      hasVariants(data) &&
      segments("level", "Averages over", [
        ["languages", "Languages"],
        ["tasks", "Tasks"],
      ])
    }
  </div>
  <div id="tiles">${summaryTiles(data, first, "languages")}</div>
</section>
${
  several &&
  html`<section id="comparison">
  <h2>All candidates</h2>
  <p class="lead">Each against ${data.baseline.name}, over the steps that both have. A click on a name shows it in every figure.</p>
  <div class="table" id="compared" tabindex="0" role="region" aria-label="Table of all candidates">${comparisonTable(data, "languages", 0)}</div>
  <div class="after">${figure("overlay", "Histograms of the speed-ups of all candidates", "Outlines of the histograms of all candidates, in shared bins; a mark on the axis is a mean. Counted in what is chosen below.")}</div>
</section>`
}

<section id="speedups">
  <h2>How much sooner, in how many languages</h2>
  <p class="lead">Speed-up: what the baseline spent in all, divided by what the candidate spent to be as good.</p>
  <div class="controls">${segments(
    "measure",
    "Counted in",
    measured(first.summaries.languages).map(([m]) => [m, measureNames[m]]),
  )}</div>
  ${figure("histogram", "Histogram of speed-ups", "As Figure 8 of Switch Transformers. Lighter parts of a bar are bounds; grey bars lie below 1×, where the candidate is slower.")}
</section>

<section id="languages">
  <h2>Quality at the end, language by language</h2>
  <p class="lead">Negative log perplexity of the finished runs, higher is better. As Figure 7 of Switch Transformers.</p>
  <div class="controls">${picker("order", "Ordered by", Object.entries(pairOrders))}</div>
  ${figure("pairs", "Final quality of baseline and candidate in every language", "A click on a language shows its curves below.", true)}
</section>

<section id="curves">
  <h2>Learning curves</h2>
  <p class="lead">The bar between the curves joins the steps at which both are equally good: the speed-up is the ratio of its ends.</p>
  <div class="controls">
    ${picker("language", "Language", [["", "Mean over languages"], ...byName(data)])}
    <button type="button" class="button" id="previous" aria-label="Previous language">←</button>
    <button type="button" class="button" id="next" aria-label="Next language">→</button>
    <label><input type="checkbox" id="logarithmic"> logarithmic steps</label>
  </div>
  ${figure("curve", "Learning curves of the chosen language", "")}
</section>

<section id="table">
  <h2>Every language</h2>
  <div class="controls">
    <label><span class="hidden">Search languages</span><input type="search" id="search" placeholder="Search by name or code" autocomplete="off" spellcheck="false"></label>
    <span id="found" role="status" class="lead" style="margin:0"></span>
  </div>
  <div class="table" id="rows" tabindex="0" role="region" aria-label="Table of all languages">
    ${languageTable(data, first, { key: "step", descending: true, query: "" })}</div>
</section>
${data.candidates.some(({ routing }) => routing) && experts()}
<section id="costs">
  <h2>What it took, what it gave</h2>
  <p class="lead">Size, speed and cost of every run, and the speed-up over languages.</p>
  <div class="table fit" tabindex="0" role="region" aria-label="Size and cost of every run">${costTable(data)}</div>
</section>

${
  dataset &&
  html`<section id="dataset">
  <h2>The data</h2>
  ${datasetSummary(dataset)}
  ${datasetSections(dataset, datasetView(dataset)).map(({ id, title, body }) => html`<h3 id="${id}">${title}</h3>${body}`)}
</section>`
}
<section id="method">
  <h2>Method, configuration, reference</h2>
  <details><summary>How these figures were made</summary>
    <dl class="facts">${method.map(([name, text]) => html`<dt>${name}</dt><dd>${text}</dd>`)}</dl></details>
  ${provenance(runs)}
  <details id="published"><summary>The paper's own result, for reference</summary>
    <p class="lead">${data.published.source}: ${data.published.candidate} against ${data.published.baseline}, both
      ${data.published.steps.toLocaleString("en-US")} steps. Read off the paper's figures by eye; nothing here is a result of these runs.</p>
    ${figure("published-histogram", "The paper's Figure 8", "Figure 8 as published, bars read by eye.")}
    ${figure("published-pairs", "The paper's Figure 7", "Figure 7 as published, read to about 0.01 nat.", true)}
  </details>
</section>`;
}

function experts(): Html {
  return html`<section id="experts">
  <h2>Which experts serve which languages</h2>
  <p class="lead">Share of a language's validation tokens that each expert was chosen for, as a multiple of a balanced load:
    1× is what an even split would give.</p>
  <div class="controls">${picker("layer", "Layer", [])} ${picker("map-order", "Languages by", Object.entries(mapOrders))}</div>
  <div class="pair">
    ${figure("map", "Load of each expert by language in the chosen layer", "")}
    <div class="beside"><h3>Load of every layer</h3>${figure("layers", "Load of each expert in every layer", "At the last evaluation, every language counting the same.")}
    <h3>Balance while training</h3>${figure("balance", "Busiest expert's load in every layer over training", "Load of the busiest expert at each evaluation; 1× is perfect balance. The chosen layer in colour.")}
    <h3>How many experts a language uses</h3>${figure("entropy", "Entropy of every language's choice of experts in every layer", "Entropy of a language's choice of experts, in nats: 0 where all its tokens go to one expert, the logarithm of their number where it uses all alike. The languages with the narrowest choice stand on top.")}</div>
  </div>
</section>`;
}

function byName({ languages }: ReportData): [string, string][] {
  const named = [...languages].sort((a, b) => a.name.localeCompare(b.name, "en"));
  return named.map(({ code, name }) => [code, `${name} (${code})`]);
}

function figure(id: string, label: string, caption: string, wide = false): Html {
  const chart = html`<div class="chart" id="${id}" role="img" aria-label="${label}"></div>`;
  const exports = html`<span class="exports"><button type="button" data-image="${id}">image</button>
    <button type="button" data-csv="${id}">CSV</button></span>`;
  return html`<figure>${wide ? html`<div class="wide" tabindex="0" role="region" aria-label="${label}, scrolls sideways">${chart}</div>` : chart}
    <figcaption>${caption} ${exports}</figcaption></figure>`;
}

function picker(id: string, label: string, options: readonly (readonly [string, string])[]): Html {
  return html`<label>${label} <select id="${id}">${options.map(([value, text]) => html`<option value="${value}">${text}</option>`)}</select></label>`;
}

function segments(name: string, legend: string, options: readonly (readonly [string, string])[]): Html {
  return html`<fieldset class="segments" id="${name}"><legend class="hidden">${legend}</legend>${options.map(
    ([value, text], i) =>
      html`<label><input type="radio" name="${name}" value="${value}"${i === 0 && html` checked`}><span>${text}</span></label>`,
  )}</fieldset>`;
}
