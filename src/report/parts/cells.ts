import type { LanguageSpeedup } from "../../analysis/speedup.js";
import { figures, times } from "../../base/format.js";
import type { RunFacts } from "../data/reportData.js";
import { Html, html } from "../render/html.js";

const sparkWidth = 76;
const sparkHeight = 24;

/** Both learning curves of a language, as small as a word. */
export function sparkCell(baseline: RunFacts, candidate: RunFacts, code: string): Html {
  const runs = [baseline, candidate];
  const last = Math.max(...runs.map(({ lastStep }) => lastStep), 1);
  const qualities = runs.flatMap(({ curves }) => curves[code]);
  const low = Math.min(...qualities);
  const range = Math.max(...qualities) - low || 1;
  const points = ({ steps, curves }: RunFacts): string =>
    steps
      .map((step, i) => {
        const x = 2 + ((sparkWidth - 4) * step) / last;
        const y = sparkHeight - 2 - ((sparkHeight - 4) * (curves[code][i] - low)) / range;
        return `${x.toFixed(1)},${y.toFixed(1)}`;
      })
      .join(" ");
  return html`<td class="spark"><svg width="${sparkWidth}" height="${sparkHeight}" viewBox="0 0 ${sparkWidth} ${sparkHeight}" aria-hidden="true" focusable="false">
    <polyline class="of-baseline" points="${points(baseline)}"/><polyline class="of-candidate" points="${points(candidate)}"/></svg></td>`;
}

/** A logarithmic scale that all rows of a table share. */
export interface ForestScale {
  x: (speedup: number) => number;
  label: string;
}

const forestWidth = 104;

/** From the smallest to the largest end of any interval, 1 included. */
export function forestScale(rows: readonly LanguageSpeedup[]): ForestScale {
  const ends = [1, ...rows.flatMap(({ step }) => [step.value, ...(step.interval ?? [])])];
  const low = Math.log(Math.min(...ends));
  const range = Math.log(Math.max(...ends)) - low || 1;
  const x = (speedup: number): number => 6 + ((forestWidth - 12) * (Math.log(speedup) - low)) / range;
  return { x, label: `${figures(Math.min(...ends), 2)}–${times(Math.max(...ends), 2)}, log` };
}

/** A row's step speed-up as a dot on its interval, beside the line at 1. */
export function forestCell({ step }: LanguageSpeedup, { x }: ForestScale): Html {
  const one = x(1).toFixed(1);
  const ends = step.interval;
  const whisker = ends
    ? html`<line class="whisker" x1="${x(ends[0]).toFixed(1)}" x2="${x(ends[1]).toFixed(1)}" y1="12" y2="12"/>`
    : new Html("");
  return html`<td class="forest"><svg width="${forestWidth}" height="24" viewBox="0 0 ${forestWidth} 24" aria-hidden="true" focusable="false">
    <line class="one" x1="${one}" x2="${one}" y1="0" y2="24"/>${whisker}
    <circle class="${step.value < 1 ? "slower" : "faster"}" cx="${x(step.value).toFixed(1)}" cy="12" r="4"/></svg></td>`;
}
