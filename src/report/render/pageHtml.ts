import { readFileSync } from "node:fs";
import { packageRoot } from "../../base/builtCode.js";
import { MswitchError } from "../../base/errors.js";
import { fontFamily } from "../charts/chartBase.js";
import { cssVariables, darkPalette, lightPalette } from "../charts/palette.js";
import { Html, html } from "./html.js";

export interface PageParts {
  title: string;
  /** Left of the links. */
  brand: string;
  /** What a reader without a pointer is offered first: a link to `#summary`. */
  skipTo: string;
  /** Links to the sections. */
  nav: Html;
  main: Html;
  footer: Html;
  /** What the script reads, by the id of the script element that holds it as JSON. */
  data: Record<string, unknown>;
  /** Built of src/report/page. */
  script: string;
}

/** A page: style, script and data are inside it, so that it works from a file, without network. */
export function pageHtml({ title, brand, skipTo, nav, main, footer, data, script }: PageParts): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="mswitch">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${new Html(pageStyle())}</style>
<script>${new Html(earlyTheme)}</script>
</head>
<body>
<a class="skip" href="#summary">${skipTo}</a>
<header class="top">
  <span class="brand">${brand}</span>
  <nav aria-label="Sections">${nav}</nav>
  <label class="theme"><span class="hidden">Colours</span>
    <select id="theme"><option value="">Auto</option><option value="light">Light</option><option value="dark">Dark</option></select>
  </label>
</header>
<main>${main}</main>
<footer>${footer}</footer>
${Object.entries(data).map(([id, value]) => html`<script type="application/json" id="${id}">${new Html(jsonForScript(value))}</script>`)}
<script type="module">${new Html(asset(script))}</script>
</body>
</html>
`.text;
}

/** JSON as it may stand in a script element: no "<" that could end it or open a comment. */
function jsonForScript(data: unknown): string {
  return JSON.stringify(data).replaceAll("<", "\\u003c");
}

/** Set before anything is painted, so that a chosen theme does not flash. */
const earlyTheme = `try{const t=localStorage.getItem("mswitch-theme");if(t)document.documentElement.dataset.theme=t}catch{}`;

/** The style sheet of a page, colours included. */
function pageStyle(): string {
  const light = `${cssVariables(lightPalette)};--font:${fontFamily}`;
  const dark = cssVariables(darkPalette);
  return `:root{${light};--candidate:var(--candidate-0)}
@media (prefers-color-scheme:dark){:root:not([data-theme=light]){${dark}}}
:root[data-theme=dark]{${dark}}
${asset("report-page.css")}`;
}

/** A file that `npm run build` made of src/report/page. */
function asset(name: string): string {
  const url = new URL(`dist/${name}`, packageRoot);
  try {
    return readFileSync(url, "utf8");
  } catch (cause) {
    throw new MswitchError("the report's page has not been built", {
      code: "report-page-not-built",
      where: url.pathname,
      hint: "npm run build",
      cause,
    });
  }
}
