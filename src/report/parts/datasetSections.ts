import { type InspectReport, type LanguageTokens, withoutSpaces } from "../../analysis/tokenStatistics.js";
import { count, figures, plural } from "../../base/format.js";
import { findLanguage } from "../../corpus/shards/languages.js";
import { type Html, html } from "../render/html.js";
import { lengthCell, lengthChart } from "./lengthBars.js";

/** The sums over a tokenized dataset. */
export function datasetTiles({ total, vocabulary }: InspectReport): Html {
  return html`<dl class="tiles">
    ${tile("Documents", count(total.documents))}
    ${tile("Tokens", count(total.tokens))}
    ${tile("Bytes of text", count(total.bytes))}
    ${tile("Tokens a byte", rate(total.tokensPerByte))}
    ${tile("Unknown tokens", share(total.unknownRate))}
    ${tile("Tokens that spell a byte", share(total.byteFallbackRate))}
  </dl>
  <p class="paper">Vocabulary of ${vocabulary.size.toLocaleString("en-US")} pieces, <code>${vocabulary.fingerprint.slice(0, 12)}</code>.
    ${total.shards < total.allShards && `${total.shards} of ${plural(total.allShards, "token file")} were read.`}</p>`;
}

/** The token statistics of every language, in a table that the page's script sorts. */
export function datasetTable({ languages, total }: InspectReport): Html {
  return html`<p class="lead">Fewer tokens a byte and a word mean that the vocabulary serves a language better. Words are what stands between
    spaces; languages marked * write none between words.</p>
  <div class="table dataset" tabindex="0" role="region" aria-label="Token statistics of all languages">${languageTokensTable(languages, total)}</div>`;
}

/** How long the documents of all languages together are. */
export function datasetLengths({ total }: InspectReport): Html {
  return html`<p class="lead">Documents by their number of tokens, all languages together. The longest has ${total.longest.toLocaleString("en-US")} tokens.</p>
  ${lengthChart(total.lengths)}`;
}

const columns: { label: string; title: string; value: (one: LanguageTokens) => number | null; text?: Show }[] = [
  { label: "Documents", title: "Documents that were read", value: (one) => one.documents },
  { label: "Tokens", title: "Their tokens", value: (one) => one.tokens },
  { label: "Bytes", title: "Bytes of their texts in UTF-8", value: (one) => one.bytes },
  { label: "Tokens/byte", title: "Tokens for each byte of text", value: (one) => one.tokensPerByte, text: rate },
  {
    label: "Tokens/word",
    title: "Fertility: tokens for each word, words being what stands between spaces",
    value: (one) => one.fertility,
    text: (value, one) => `${rate(value)}${withoutSpaces.has(one.language) ? "*" : ""}`,
  },
  {
    label: "Unknown",
    title: "Share of tokens that are the unknown piece",
    value: (one) => one.unknownRate,
    text: share,
  },
  {
    label: "Byte tokens",
    title: "Share of tokens that spell one byte of a character without a piece",
    value: (one) => one.byteFallbackRate,
    text: share,
  },
  { label: "Mean length", title: "Tokens a document", value: (one) => one.meanTokens, text: rate },
];

type Show = (value: number | null, one: LanguageTokens) => string;

function languageTokensTable(languages: readonly LanguageTokens[], total: LanguageTokens): Html {
  const cells = (one: LanguageTokens): Html[] =>
    columns.map(({ value, text = (number) => (number ?? 0).toLocaleString("en-US") }) => {
      const number = value(one);
      return html`<td class="number" data-value="${number ?? ""}">${text(number, one)}</td>`;
    });
  const bins = total.lengths.length;
  return html`<table>
    <caption class="hidden">Token statistics of every language</caption>
    <thead><tr><th scope="col" aria-sort="ascending"><button type="button">Language<span aria-hidden="true" class="arrow"></span></button></th>
      ${columns.map(({ label, title }) => html`<th scope="col" class="number" aria-sort="none"><button type="button" title="${title}">${label}<span aria-hidden="true" class="arrow"></span></button></th>`)}
      <th scope="col" title="Documents of 0, 1, 2–3, 4–7, … tokens">Lengths</th></tr></thead>
    <tbody>${[...languages]
      .map((one) => ({ one, name: findLanguage(one.language)?.name ?? one.language }))
      .sort((a, b) => a.name.localeCompare(b.name, "en"))
      .map(
        ({ one, name }) =>
          html`<tr><th scope="row" data-value="${name}">${name} <code>${one.language}</code></th>${cells(one)}${lengthCell(one.lengths, bins)}</tr>`,
      )}</tbody>
    <tfoot><tr class="total"><th scope="row">All</th>${cells(total)}${lengthCell(total.lengths, bins)}</tr></tfoot>
  </table>`;
}

function tile(name: string, value: string): Html {
  return html`<div class="tile"><dt>${name}</dt><dd><span class="value">${value}</span></dd></div>`;
}

function rate(value: number | null): string {
  return value === null ? "–" : figures(value);
}

/** A small share in per cent: `0.12 %`. */
function share(value: number | null): string {
  return value === null ? "–" : `${(100 * value).toFixed(2)}\u202f%`;
}
