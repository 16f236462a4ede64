import { readFileSync } from "node:fs";
import { MswitchError } from "../base/errors.js";
import { fontFamily } from "./charts/chartBase.js";
import { cssVariables, darkPalette, lightPalette } from "./palette.js";

/** Set before anything is painted, so that a chosen theme does not flash. */
export const earlyTheme = `try{const t=localStorage.getItem("mswitch-theme");if(t)document.documentElement.dataset.theme=t}catch{}`;

/** The style sheet of a page, colours included. */
export function pageStyle(): string {
  const light = `${cssVariables(lightPalette)};--font:${fontFamily}`;
  const dark = cssVariables(darkPalette);
  return `:root{${light};--candidate:var(--candidate-0)}
@media (prefers-color-scheme:dark){:root:not([data-theme=light]){${dark}}}
:root[data-theme=dark]{${dark}}
${asset("report-page.css")}`;
}

/** A file that `npm run build` made of src/report/page. */
export function asset(name: string): string {
  const url = new URL(`../../dist/${name}`, import.meta.url);
  try {
    return readFileSync(url, "utf8");
  } catch (cause) {
    throw new MswitchError("the report's page has not been built", {
      where: url.pathname,
      hint: "npm run build",
      cause,
    });
  }
}
