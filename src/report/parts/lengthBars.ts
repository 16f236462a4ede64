import { lengthBin } from "../../analysis/tokenStatistics.js";
import { plural } from "../../base/format.js";
import { type Html, html } from "../render/html.js";

const cellBar = 5;
const cellHeight = 24;

/** Document lengths as small as a word: a bar for each bin that some language has. */
export function lengthCell(lengths: readonly number[], bins: number): Html {
  const most = Math.max(...lengths, 1);
  const bars = lengths.map((count, k) => {
    const height = count > 0 ? Math.max(1, (cellHeight * count) / most) : 0;
    return html`<rect x="${k * cellBar}" y="${(cellHeight - height).toFixed(1)}" width="${cellBar - 1}" height="${height.toFixed(1)}"/>`;
  });
  return html`<td class="lengths"><svg width="${bins * cellBar}" height="${cellHeight}" viewBox="0 0 ${bins * cellBar} ${cellHeight}" aria-hidden="true" focusable="false">${bars}</svg></td>`;
}

/** Document lengths as a chart with its numbers. */
export function lengthChart(lengths: readonly number[]): Html {
  const most = Math.max(...lengths, 1);
  const share = (count: number): string => ((100 * count) / most).toFixed(2);
  return html`<ol class="bars">${lengths.map(
    (count, k) => html`<li title="${plural(count, "document")} of ${lengthBin(k)} tokens">
      <span class="bar-label">${lengthBin(k)}</span><span class="bar"><span class="bar-fill" style="width:${share(count)}%"></span></span>
      <span class="bar-count">${count.toLocaleString("en-US")}</span></li>`,
  )}</ol>`;
}
