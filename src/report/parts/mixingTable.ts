import { count, figures } from "../../base/format.js";
import type { DatasetView, LanguageName } from "../data/datasetView.js";
import { type Html, html } from "../render/html.js";

/** Epochs beyond which repeated text is worth much less than new text (Muennighoff et al. 2023, arXiv 2305.16264). */
const manyEpochs = 4;

/** The preview with its controls. */
export function mixingSection({ names, mixing }: DatasetView): Html {
  if (!mixing) return html``;
  return html`<p class="lead">Each strategy's share of a budget of training tokens, and how often a run would then read each language. More than ${manyEpochs} epochs are marked:
    text that is read again teaches less than new text.</p>
  <div class="controls">
    <label>Mixing <select id="mixing-strategy">${mixing.strategies.map(({ label }, i) => html`<option value="${i}">${label}</option>`)}</select></label>
    <label>Training tokens <select id="mixing-budget">${mixing.budgets.map(
      (budget, i) =>
        html`<option value="${i}">${count(budget)} (${figures(budget / mixing.budgets[0])}× the dataset's)</option>`,
    )}</select></label>
  </div>
  <div id="mixing">${mixingTable({ names, mixing }, 0, 0)}</div>`;
}

/** Shares and epochs of every language, the largest share first. */
export function mixingTable({ names, mixing }: DatasetView, strategy: number, budget: number): Html {
  if (!mixing) return html``;
  const shares = mixing.strategies[strategy].shares[budget] ?? [];
  const all = mixing.tokens.reduce((sum, tokens) => sum + tokens, 0);
  const most = Math.max(...shares, 1e-9);
  const lines = mixing.codes
    .map((code, i) => ({
      code,
      name: names[code] ?? { name: code, ownName: null },
      documents: mixing.documents[i],
      share: shares[i],
      ofTokens: mixing.tokens[i] / all,
      epochs: (shares[i] * mixing.budgets[budget]) / mixing.tokens[i],
    }))
    .sort((a, b) => b.share - a.share || (a.code < b.code ? -1 : 1));
  return html`<p class="paper"><code>stream: { mixing: ${mixing.strategies[strategy].yaml[budget]} }</code></p>
  <div class="table" tabindex="0" role="region" aria-label="Shares and epochs of all languages"><table>
    <caption class="hidden">Shares and epochs of every language</caption>
    <thead><tr><th scope="col">Language</th><th scope="col" class="number">Documents</th><th scope="col" class="number" title="Its share of the dataset's training tokens">Of the dataset</th>
      <th scope="col" class="number" title="Its share of what a run reads">Of the run</th><th scope="col"><span class="hidden">Share as a bar</span></th><th scope="col" class="number" title="How often a run reads its text">Epochs</th></tr></thead>
    <tbody>${lines.map(
      ({ code, name, documents, share, ofTokens, epochs }) => html`<tr>${nameOf(code, name)}
        <td class="number">${documents.toLocaleString("en-US")}</td><td class="number">${perCent(ofTokens)}</td><td class="number">${perCent(share)}</td>
        <td class="share" aria-hidden="true"><span class="bar-fill" style="width:${((120 * share) / most).toFixed(1)}px"></span></td>
        <td class="number">${figures(epochs)}${epochs > manyEpochs && html`<small>over ${manyEpochs}</small>`}</td></tr>`,
    )}</tbody></table></div>`;
}

function nameOf(code: string, { name, ownName }: LanguageName): Html {
  return html`<th scope="row">${name} ${ownName !== null && html`<span lang="${code}" dir="auto" class="own">${ownName}</span>`} <code>${code}</code></th>`;
}

function perCent(share: number): string {
  return `${(100 * share).toFixed(2)}\u202f%`;
}
