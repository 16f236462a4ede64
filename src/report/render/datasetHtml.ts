import type { InspectReport, ShownDocument } from "../../analysis/tokenStatistics.js";
import { plural } from "../../base/format.js";
import { type DatasetView, datasetView, nameIn } from "../data/datasetView.js";
import { datasetSections, datasetSummary } from "../parts/datasetSections.js";
import { type Html, html } from "./html.js";
import { pageHtml } from "./pageHtml.js";

/** A tokenized dataset as a page. */
export function datasetHtml(report: InspectReport): string {
  const { languages, documents } = report;
  const view = datasetView(report);
  const title = `Tokenized dataset: ${plural(languages.length, "language")}`;
  const sections = datasetSections(report, view);
  return pageHtml({
    title,
    brand: "mswitch dataset",
    skipTo: "To the figures",
    nav: html`${sections.map(({ id, short }) => html`<a href="#${id}">${short}</a> `)}
    ${documents.length > 0 && html`<a href="#documents">Documents</a>`}`,
    main: html`<h1>${title}</h1>
<section id="summary" style="margin-top:0" aria-label="Summary">
  ${datasetSummary(report)}
</section>
${sections.map(({ id, title: name, body }) => html`<section id="${id}"><h2>${name}</h2>${body}</section>`)}
${
  documents.length > 0 &&
  html`<section id="documents"><h2>Documents</h2>
  <p class="lead">Pieces with their ids; ▁ stands for a space.</p>${documents.map((document) => documentDetails(document, view))}</section>`
}`,
    footer: html`Made by <code>mswitch dataset inspect</code>.`,
    data: { "dataset-data": view },
    script: "dataset-page.js",
  });
}

function documentDetails(
  { language, split, source, line, bytes, tokens, ids, pieces, text }: ShownDocument,
  view: DatasetView,
): Html {
  const more = tokens - ids.length;
  return html`<details><summary>${nameIn(view, language).name} <code>${language} ${split}</code>
    <small>${plural(tokens, "token")}, ${plural(bytes, "byte")}</small></summary>
    <p><code>${source}</code> line ${line}</p>
    <p dir="auto" lang="${language}">${text}${more > 0 && " …"}</p>
    <p class="pieces">${pieces.map((piece, i) => html`<span class="piece"><bdi>${piece}</bdi><span class="piece-id">${ids[i]}</span></span>`)}
      ${more > 0 && html`<small>and ${plural(more, "token")} more</small>`}</p></details>`;
}
