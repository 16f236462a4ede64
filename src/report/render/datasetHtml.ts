import type { InspectReport, ShownDocument } from "../../analysis/tokenStatistics.js";
import { plural } from "../../base/format.js";
import { findLanguage } from "../../corpus/shards/languages.js";
import { datasetLengths, datasetTable, datasetTiles } from "../parts/datasetSections.js";
import { type Html, html } from "./html.js";
import { pageHtml } from "./pageHtml.js";

/** A tokenized dataset as a page. */
export function datasetHtml(report: InspectReport): string {
  const { languages, documents } = report;
  const title = `Tokenized dataset: ${plural(languages.length, "language")}`;
  return pageHtml({
    title,
    brand: "mswitch dataset",
    skipTo: "To the figures",
    nav: html`<a href="#table">Languages</a> <a href="#lengths">Lengths</a>
    ${documents.length > 0 && html`<a href="#documents">Documents</a>`}`,
    main: html`<h1>${title}</h1>
<section id="summary" style="margin-top:0" aria-label="Summary">
  ${datasetTiles(report)}
</section>
<section id="table">
  <h2>Every language</h2>
  ${datasetTable(report)}
</section>
<section id="lengths">
  <h2>How long documents are</h2>
  ${datasetLengths(report)}
</section>
${
  documents.length > 0 &&
  html`<section id="documents"><h2>Documents</h2>
  <p class="lead">Pieces with their ids; ▁ stands for a space.</p>${documents.map(documentDetails)}</section>`
}`,
    footer: html`Made by <code>mswitch dataset inspect</code>.`,
    script: "dataset-page.js",
  });
}

function documentDetails({ language, split, source, line, bytes, tokens, ids, pieces, text }: ShownDocument): Html {
  const more = tokens - ids.length;
  return html`<details><summary>${findLanguage(language)?.name ?? language} <code>${language} ${split}</code>
    <small>${plural(tokens, "token")}, ${plural(bytes, "byte")}</small></summary>
    <p><code>${source}</code> line ${line}</p>
    <p dir="auto">${text}${more > 0 && " …"}</p>
    <p class="pieces">${pieces.map((piece, i) => html`<span class="piece"><bdi>${piece}</bdi><span class="piece-id">${ids[i]}</span></span>`)}
      ${more > 0 && html`<small>and ${plural(more, "token")} more</small>`}</p></details>`;
}
