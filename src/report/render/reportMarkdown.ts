import { bigSpeedup } from "../../analysis/summary.js";
import { count, figures as digits, percent, signed, times } from "../../base/format.js";
import {
  boundSign,
  caveats,
  finding,
  hasVariants,
  headline,
  type Level,
  measured,
  measureNames,
  noun,
  verdict,
} from "../data/headline.js";
import type { CandidateFacts, ReportData } from "../data/reportData.js";
import { interval, markedTimes, percentInterval } from "../format.js";
import { comparisonColumns } from "../parts/comparisonTable.js";
import { method } from "../parts/method.js";
import { costRows, gainRows } from "../parts/runTables.js";
import type { Figure } from "./figures.js";

/** The report as Markdown, with its figures as SVG files beside it. */
export function reportMarkdown(
  data: ReportData,
  figures: readonly Figure[][],
  together: readonly Figure[] = [],
): string {
  const blocks = [
    `# ${text(data.candidates.map(({ name }) => name).join(" and "))} against ${text(data.baseline.name)}`,
    ...(data.candidates.length > 1 ? [`## All candidates\n\n${comparison(data)}`, ...together.map(image)] : []),
    ...data.candidates.flatMap((candidate, i) => [
      ...(data.candidates.length > 1 ? [`## ${text(candidate.name)}`] : []),
      `**${text(finding(data, candidate, "languages"))}.** ${text(headline(data, candidate, "languages"))}. ${text(verdict(data, candidate, "languages"))}`,
      caveats(data, candidate, "languages")
        .map((caveat) => `- ${text(caveat)}`)
        .join("\n"),
      summaryTable(data, candidate),
      ...figures[i].map(image),
      `### Every language\n\n${languageRows(data, candidate)}`,
    ]),
    `## What it took, what it gave\n\n${costs(data)}`,
    `## How these figures were made\n\n${method.map(([name, body]) => `**${name}.** ${text(body)}`).join("\n\n")}`,
    `For reference, the paper's own runs (${text(data.published.source)}): ${data.published.candidate} against ${data.published.baseline} at ${data.published.steps.toLocaleString("en-US")} steps has a mean step speed-up of ${data.published.meanStepSpeedup}×, ${percent(data.published.shareFourfold)} of ${data.published.tasks} tasks at ${bigSpeedup}× or more.`,
  ];
  return `${blocks.filter((block) => block !== "").join("\n\n")}\n`;
}

function image({ file, title }: Figure): string {
  return `### ${text(title)}\n\n![${text(title)}](${file})`;
}

function comparison(data: ReportData): string {
  const rows = data.candidates.map((candidate) => [
    candidate.name,
    ...comparisonColumns.map(({ cell }) => {
      const [value, ends] = cell(candidate, data, "languages");
      return ends ? `${value} (${ends})` : value;
    }),
  ]);
  return table(["candidate", ...comparisonColumns.map(({ label }) => label)], `ll${"r".repeat(8)}`, rows);
}

function summaryTable(data: ReportData, candidate: CandidateFacts): string {
  const levels: Level[] = hasVariants(data) ? ["languages", "tasks"] : ["languages"];
  const rows = levels.flatMap((level) => {
    const summary = candidate.summaries[level];
    const over = `${summary.count} ${noun(level)}s`;
    return [
      ...measured(summary).flatMap(([measure, { mean, median, big }]) => [
        [
          `Mean of the speed-ups in ${measureNames[measure]}`,
          over,
          boundSign(summary) + times(mean.value),
          interval(mean),
        ],
        [`Median speed-up in ${measureNames[measure]}`, over, times(median.value), interval(median)],
        [`${bigSpeedup}× or more in ${measureNames[measure]}`, over, percent(big.value), percentInterval(big)],
      ]),
      ...(level === "languages"
        ? [
            [
              "Speed-up of the mean curve in steps",
              over,
              markedTimes(candidate.macroSpeedup.step.value, candidate.macroSpeedup.match),
              "",
            ],
          ]
        : []),
      ["Better at the end", over, percent(summary.improved.value), percentInterval(summary.improved)],
      ["Mean gain at the end, nats a token", over, signed(summary.gain.value), interval(summary.gain)],
    ];
  });
  return table(["", "over", "value", "95 % interval"], "llrr", rows);
}

function languageRows(data: ReportData, { rows, epochs }: CandidateFacts): string {
  const lines = data.languages
    .map((language, i) => ({ language, row: rows[i] }))
    .sort((a, b) => b.row.step.value - a.row.step.value)
    .map(({ language: { code, name, trainTokens }, row }) => {
      const speedup = (estimate: typeof row.time): string =>
        estimate ? `${markedTimes(estimate.value, row.match)}` : "–";
      return [
        name,
        code,
        digits(row.baselineFinal),
        digits(row.candidateFinal),
        signed(row.gain.value),
        speedup(row.step),
        interval(row.step),
        speedup(row.time),
        speedup(row.flops),
        Object.hasOwn(epochs, code) ? digits(epochs[code]) : "–",
        trainTokens === null ? "–" : count(trainTokens),
      ];
    });
  const header = [
    "language",
    "code",
    "baseline NLP",
    "candidate NLP",
    "gain",
    "steps",
    "95 %",
    "time",
    "FLOPs",
    "epochs",
    "train tokens",
  ];
  return table(header, "llrrrrrrrrr", lines);
}

function costs({ baseline, candidates }: ReportData): string {
  const runs = [baseline, ...candidates];
  return table(["", ...runs.map(({ name }) => name)], `l${"r".repeat(runs.length)}`, [
    ...costRows.map(([name, , cell]) => [name, ...runs.map((run) => cell(run, baseline))]),
    ...gainRows.map(([name, cell]) => [name, "–", ...candidates.map(cell)]),
  ]);
}

function table(header: string[], align: string, rows: string[][]): string {
  const line = (cells: string[]): string => `| ${cells.map(text).join(" | ")} |`;
  const rule = [...align].map((side) => (side === "r" ? "---:" : ":---")).join(" | ");
  return [line(header), `| ${rule} |`, ...rows.map(line)].join("\n");
}

/** Text from a file as Markdown that shows it as it is. */
function text(raw: string): string {
  return raw.replace(/[\\`*_[\]<>|#]/g, "\\$&").replaceAll("\n", " ");
}
