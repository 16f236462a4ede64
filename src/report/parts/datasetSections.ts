import { type InspectReport, type LanguageTokens, withoutSpaces } from "../../analysis/tokenStatistics.js";
import { count, figures, formatBytes, plural } from "../../base/format.js";
import { type DatasetView, type LanguageName, nameIn } from "../data/datasetView.js";
import { datasetWarnings } from "../data/datasetWarnings.js";
import { type Html, html } from "../render/html.js";
import { lengthCell, lengthChart } from "./lengthBars.js";
import { mixingSection } from "./mixingTable.js";

export interface DatasetSection {
  id: string;
  title: string;
  /** For a link. */
  short: string;
  body: Html;
}

/** A tokenized dataset, section by section: for its own page, and for the report of runs that learned from it. */
export function datasetSections(report: InspectReport, view: DatasetView): DatasetSection[] {
  return [
    {
      id: "dataset-languages",
      title: "Languages and their tokens",
      short: "Languages",
      body: languagesSection(report, view),
    },
    { id: "dataset-lengths", title: "How long documents are", short: "Lengths", body: lengthsSection(report) },
    ...(view.mixing
      ? [{ id: "dataset-mixing", title: "What a run would read", short: "Mixing", body: mixingSection(view) }]
      : []),
    { id: "dataset-sources", title: "Where it comes from", short: "Sources", body: sourcesSection(report) },
    { id: "dataset-aside", title: "What was set aside", short: "Set aside", body: asideSection(report, view) },
  ];
}

/** The sums over a tokenized dataset, and what to know before training on it. */
export function datasetSummary(report: InspectReport): Html {
  const { total, vocabulary } = report;
  const warnings = datasetWarnings(report);
  return html`<dl class="tiles six">
    ${tile("Documents", count(total.documents))}
    ${tile("Tokens", count(total.tokens))}
    ${tile("Bytes of text", count(total.bytes))}
    ${tile("Tokens a byte", rate(total.tokensPerByte))}
    ${tile("Unknown tokens", share(total.unknownRate))}
    ${tile("Tokens that spell a byte", share(total.byteFallbackRate))}
  </dl>
  ${
    warnings.length > 0 &&
    html`<aside class="notes" aria-label="What to know before training on this dataset"><ul>${warnings.map((warning) => html`<li>${warning}</li>`)}</ul></aside>`
  }
  <p class="paper">Vocabulary of ${vocabulary.size.toLocaleString("en-US")} pieces, <code>${vocabulary.fingerprint.slice(0, 12)}</code>.</p>`;
}

function languagesSection(report: InspectReport, view: DatasetView): Html {
  return html`<p class="lead">Fewer tokens a byte and a word mean that the vocabulary serves a language better. Words are what stands between
    spaces; languages marked * write none between words.</p>
  <div class="controls">
    <label><span class="hidden">Search the dataset's languages</span><input type="search" id="dataset-search" placeholder="Search by name or code" autocomplete="off" spellcheck="false"></label>
    <span id="dataset-found" role="status" class="lead" style="margin:0">${report.languages.length} in all</span>
  </div>
  <div class="table dataset" tabindex="0" role="region" aria-label="Token statistics of all languages">${languageTokensTable(report, view)}</div>`;
}

function lengthsSection({ total }: InspectReport): Html {
  return html`<p class="lead">Documents by their number of tokens, all languages together. The longest has ${total.longest.toLocaleString("en-US")} tokens.</p>
  ${lengthChart(total.lengths)}`;
}

function sourcesSection({ sources, dates }: InspectReport): Html {
  const days = Object.values(dates);
  const from = days.map((one) => one.from).sort()[0];
  const to = days
    .map((one) => one.to)
    .sort()
    .at(-1);
  return html`${
    sources.length === 0
      ? html`<p class="lead">The dataset has no records of its sources.</p>`
      : html`<div class="table fit" tabindex="0" role="region" aria-label="Sources of the dataset"><table>
    <caption class="hidden">Sources of the dataset</caption>
    <thead><tr><th scope="col">Folder or address</th><th scope="col" class="number">Files</th><th scope="col" class="number">Bytes</th><th scope="col">Licence</th><th scope="col">Versions</th></tr></thead>
    <tbody>${sources.map(
      ({ folder, files, bytes, licence, versions }) => html`<tr><th scope="row"><code>${folder}</code></th>
        <td class="number">${files.toLocaleString("en-US")}</td><td class="number">${formatBytes(bytes)}</td>
        <td class="text">${licence ? html`${licence.name}<small>${licence.file}</small>` : "not stated"}</td>
        <td class="text">${versions.length === 0 ? "–" : `${versions.slice(0, 3).join(", ")}${versions.length > 3 ? ` and ${versions.length - 3} more` : ""}`}</td></tr>`,
    )}</tbody></table></div>`
  }
  <p class="paper">${
    from === undefined
      ? "No dates are known: the sources are not here any more, have changed, or have no field timestamp."
      : `Documents are dated ${from === to ? from : `${from} to ${to}`}, by the field timestamp at the start of the first source file of ${plural(days.length, "language")}.`
  }</p>`;
}

function asideSection({ setAside }: InspectReport, view: DatasetView): Html {
  const causes = Object.entries(setAside.causes).sort(([, a], [, b]) => b - a);
  if (causes.length === 0) return html`<p class="lead">Nothing: every line of the sources became a document.</p>`;
  const languages = Object.entries(setAside.byLanguage).sort(([, a], [, b]) => b - a);
  const all = causes.reduce((sum, [, number]) => sum + number, 0);
  return html`<p class="lead">By cause: ${causes.map(([cause, number]) => `${cause} ${number.toLocaleString("en-US")}`).join(", ")}.
    By language: ${languages.map(([code, number]) => `${nameIn(view, code).name} ${number.toLocaleString("en-US")}`).join(", ")}. Each cause is explained in docs/preprocessing.md.</p>
  <details><summary>${setAside.listed.length < all ? `The first ${setAside.listed.length} of ${all.toLocaleString("en-US")}` : "All of them"}</summary>
  <div class="table" tabindex="0" role="region" aria-label="What was set aside"><table>
    <caption class="hidden">What was set aside</caption>
    <thead><tr><th scope="col">Language</th><th scope="col">Cause</th><th scope="col" class="number">Line</th><th scope="col">File</th><th scope="col">Detail</th></tr></thead>
    <tbody>${setAside.listed.map(
      ({
        language,
        cause,
        line,
        file,
        detail,
      }) => html`<tr><th scope="row">${nameIn(view, language).name} <code>${language}</code></th>
        <td><code>${cause}</code></td><td class="number">${line}</td><td class="text"><code>${file}</code></td><td class="text">${detail}</td></tr>`,
    )}</tbody></table></div></details>`;
}

interface Column {
  label: string;
  title: string;
  value: (one: LanguageTokens) => number | string | null;
  text?: (value: number | string | null, one: LanguageTokens) => string;
}

const number = (value: number | string | null): number | null => (typeof value === "number" ? value : null);

function columnsOf({ dates, setAside }: InspectReport): Column[] {
  return [
    { label: "Documents", title: "Documents that were read", value: (one) => one.documents },
    { label: "Tokens", title: "Their tokens", value: (one) => one.tokens },
    { label: "Bytes", title: "Bytes of their texts in UTF-8", value: (one) => one.bytes },
    {
      label: "Tokens/byte",
      title: "Tokens for each byte of text",
      value: (one) => one.tokensPerByte,
      text: (value) => rate(number(value)),
    },
    {
      label: "Tokens/word",
      title: "Fertility: tokens for each word, words being what stands between spaces",
      value: (one) => one.fertility,
      text: (value, one) => `${rate(number(value))}${withoutSpaces.has(one.language) ? "*" : ""}`,
    },
    {
      label: "Unknown",
      title: "Share of tokens that are the unknown piece",
      value: (one) => one.unknownRate,
      text: (value) => share(number(value)),
    },
    {
      label: "Byte tokens",
      title: "Share of tokens that spell one byte of a character without a piece",
      value: (one) => one.byteFallbackRate,
      text: (value) => share(number(value)),
    },
    {
      label: "Mean length",
      title: "Tokens a document",
      value: (one) => one.meanTokens,
      text: (value) => rate(number(value)),
    },
    ...(Object.keys(setAside.causes).length > 0
      ? [
          {
            label: "Set aside",
            title: "Lines and files that were set aside",
            value: (one: LanguageTokens) =>
              one.language === "total"
                ? Object.values(setAside.byLanguage).reduce((sum, other) => sum + other, 0)
                : (setAside.byLanguage[one.language] ?? 0),
          },
        ]
      : []),
    ...(Object.keys(dates).length > 0
      ? [
          {
            label: "Dates",
            title: "First and last day of the documents at the start of the language's first source file",
            value: (one: LanguageTokens) => dates[one.language]?.from ?? null,
            text: (_value: number | string | null, one: LanguageTokens) => {
              const range = dates[one.language];
              if (!range) return "–";
              return range.from === range.to ? range.from : `${range.from} – ${range.to}`;
            },
          },
        ]
      : []),
  ];
}

function languageTokensTable(report: InspectReport, view: DatasetView): Html {
  const { languages, total } = report;
  const columns = columnsOf(report);
  const cells = (one: LanguageTokens): Html[] =>
    columns.map(({ value, text = (shown) => (number(shown) ?? 0).toLocaleString("en-US") }) => {
      const shown = value(one);
      return html`<td class="number" data-value="${shown ?? ""}">${text(shown, one)}</td>`;
    });
  const bins = total.lengths.length;
  return html`<table class="names">
    <caption class="hidden">Token statistics of every language</caption>
    <thead><tr><th scope="col" aria-sort="ascending"><button type="button">Language<span aria-hidden="true" class="arrow"></span></button></th>
      ${columns.map(({ label, title }) => html`<th scope="col" class="number" aria-sort="none"><button type="button" title="${title}">${label}<span aria-hidden="true" class="arrow"></span></button></th>`)}
      <th scope="col" title="Documents of 0, 1, 2–3, 4–7, … tokens">Lengths</th></tr></thead>
    <tbody>${[...languages]
      .map((one) => ({ one, name: nameIn(view, one.language) }))
      .sort((a, b) => a.name.name.localeCompare(b.name.name, "en"))
      .map(
        ({ one, name }) => html`<tr>${nameCell(one.language, name)}${cells(one)}${lengthCell(one.lengths, bins)}</tr>`,
      )}</tbody>
    <tfoot><tr class="total"><th scope="row">All</th>${cells(total)}${lengthCell(total.lengths, bins)}</tr></tfoot>
  </table>`;
}

function nameCell(code: string, { name, ownName }: LanguageName): Html {
  return html`<th scope="row" data-value="${name}" data-code="${code}" data-own="${ownName ?? ""}">${name}
    <span class="second">${ownName !== null && html`<span lang="${code}" dir="auto" class="own">${ownName}</span> `}<code>${code}</code></span></th>`;
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
