import { bigSpeedup } from "../../analysis/summary.js";
import { percent, plural, signed, times } from "../../base/format.js";
import {
  boundSign,
  caveats,
  finding,
  headline,
  type Level,
  measured,
  measureNames,
  noun,
  verdict,
} from "../data/headline.js";
import type { CandidateFacts, ReportData } from "../data/reportData.js";
import { interval, markedTimes, percentInterval } from "../format.js";
import { type Html, html } from "../render/html.js";

/** Headline, verdict, figures and caveats of one candidate. */
export function summaryTiles(data: ReportData, candidate: CandidateFacts, level: Level): Html {
  const summary = candidate.summaries[level];
  const notes = caveats(data, candidate, level);
  const means = measured(summary);
  const step = summary.measures.step!;
  const sign = boundSign(summary);
  return html`
    <p class="headline">${finding(data, candidate, level)}.</p>
    <p class="verdict"><strong>${headline(data, candidate, level)}.</strong></p>
    <p class="verdict">${verdict(data, candidate, level)}</p>
    <dl class="tiles">
      ${means.map(([measure, { mean }]) => tile(`Mean of the ${noun(level)}s' speed-ups, in ${measureNames[measure]}`, sign + times(mean.value), interval(mean)))}
      ${tile("Speed-up of the mean curve, in steps", markedTimes(candidate.macroSpeedup.step.value, candidate.macroSpeedup.match), "")}
      ${tile("Median speed-up in steps", times(step.median.value), interval(step.median))}
      ${tile(`${noun(level)}s better at the end`, percent(summary.improved.value), percentInterval(summary.improved))}
      ${tile(`${noun(level)}s at ${bigSpeedup}× or more, in steps`, percent(step.big.value), percentInterval(step.big))}
      ${tile("Mean gain at the end, nats a token", signed(summary.gain.value), interval(summary.gain))}
    </dl>
    ${
      notes.length > 0 &&
      html`<aside class="notes" aria-label="What to know before reading on">
        <ul>${notes.map((note) => html`<li>${note}</li>`)}</ul>
      </aside>`
    }
    <p class="paper">For reference, the paper's own runs, at another scale: ${data.published.candidate} against
      ${data.published.baseline} at ${data.published.steps.toLocaleString("en-US")} steps has a mean step speed-up of
      ${data.published.meanStepSpeedup}×, ${percent(data.published.shareFourfold)} of ${plural(data.published.tasks, "task")}
      at ${bigSpeedup}× or more.</p>`;
}

function tile(name: string, value: string, ends: string): Html {
  return html`<div class="tile">
    <dt>${name}</dt>
    <dd><span class="value">${value}</span> <span class="interval">${ends}</span></dd>
  </div>`;
}
