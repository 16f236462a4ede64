import type { SeedMean } from "../analysis/seeds.js";
import { count, figures, formatDuration, formatFlops, signed, times } from "../base/format.js";
import type { StudyResults, StudyTimes, VariantResult } from "./studyResults.js";

const none = "–";

/** Value and half of its 95 % interval. */
function withInterval(value: SeedMean | null, show: (x: number) => string, half: (x: number) => string = show): string {
  if (!value) return none;
  return value.interval ? `${show(value.mean)} ± ${half(value.interval[1] - value.mean)}` : show(value.mean);
}

const nats = (value: number): string => value.toFixed(3);
const steps = (value: number): string => Math.round(value).toLocaleString("en-US");

type Column = [name: string, cell: (row: VariantResult, results: StudyResults) => string];

/** The columns of the paper's Tables 1, 2, 3 and 11, and what a small run needs besides. */
const columns: Column[] = [
  ["model", ({ variant }) => variant],
  ["parameters", ({ parameters }) => (parameters === null ? none : count(parameters))],
  ["FLOPs a step", ({ flopsPerStep }) => (flopsPerStep === null ? none : formatFlops(flopsPerStep))],
  ["seeds", ({ finished }, { seeds }) => `${finished} of ${seeds.length}`],
  ["diverged", ({ diverged }) => String(diverged)],
  ["quality (neg. log perp.)", ({ quality }) => withInterval(quality, nats)],
  ["std. dev.", ({ quality }) => (quality?.deviation == null ? none : nats(quality.deviation))],
  ["gain", (row) => withInterval(row.gain, signed, nats)],
  ["step speed-up", ({ speedup }) => withInterval(speedup, times, (x) => figures(x))],
  [
    "steps to threshold",
    (row) => (row.stepsToThreshold ? `${withInterval(row.stepsToThreshold, steps)} (${row.reached})` : none),
  ],
  ["source use", ({ sourceUse }) => withInterval(sourceUse, nats)],
];

/** The table of variants, and quality and source use by step and seed. @param whole with tables by language */
export function studyTable(results: StudyResults, whole = true): string {
  const rows = results.variants.map((row) => columns.map(([, cell]) => cell(row, results)));
  const variants = table(
    columns.map(([name]) => name),
    rows,
  );
  return [
    variants,
    ...distillationTables(results, whole),
    ...taskMeansTable(results),
    ...(whole ? taskTables(results) : []),
    "Quality (and source use) by step:",
    curvesTable(results),
  ].join("\n\n");
}

/** The study's report in Markdown. */
export function studyMarkdown(results: StudyResults, figures: readonly { file: string; title: string }[] = []): string {
  const { title, baseline, threshold, seeds, missing } = results;
  const notes = [
    `Means over seeds (${seeds.join(", ")}) and 95 % intervals by Student's t. Quality: mean over languages ${when(results)}, nats a target token, higher is better. Gain and step speed-up: against “${baseline}”, in pairs of equal seeds; the speed-up is the mean over languages.`,
    ...(threshold === null ? [] : [`Threshold: ${nats(threshold)}; in brackets the seeds that reached it.`]),
    "Source use: nats a token that are lost with another text as the source; below 0.1 a model does not read its source, and a speed-up between two such models says nothing.",
    ...(missing.length > 0
      ? [`**Not finished: ${missing.map(({ variant, seed }) => `${variant}, seed ${seed}`).join("; ")}.**`]
      : []),
  ];
  const images = figures.map(({ file, title: caption }) => `![${caption}](${file})`);
  return `${[`# ${title.replaceAll("<", "\\<")}`, studyTable(results), ...images, ...notes].join("\n\n")}\n`;
}

/** Of which evaluation a run's figures are. */
const when = ({ result }: StudyResults): string => (result === "best" ? "at each run's best evaluation" : "at the end");

/** Metrics of a task in percent; chrF is so already. */
const percentOf =
  (metric: string) =>
  (share: number): string =>
    (metric === "chrF" ? share : 100 * share).toFixed(1);

/** Fine-tuned quality by task, as mT5's Table 2; nothing where no metric was measured. */
function taskMeansTable(results: StudyResults): string[] {
  const { taskMeans, variants } = results;
  if (taskMeans.length === 0) return [];
  const head = taskMeans.map(({ task, metric, languages }) => `${task}: ${metric} (${languages} languages)`);
  const rows = variants.map(({ variant }) => [
    variant,
    ...taskMeans.map((mean) => {
      const { value } = mean.variants.find((each) => each.variant === variant)!;
      return withInterval(value, percentOf(mean.metric));
    }),
  ]);
  return [`Means over languages ${when(results)}, in percent:`, table(["model", ...head], rows)];
}

/** The same by language. */
function taskTables(results: StudyResults): string[] {
  const { tasks, variants } = results;
  if (tasks.length === 0) return [];
  const names = variants.map(({ variant }) => variant);
  const metrics = [...new Set(tasks.map(({ metric }) => metric))];
  return metrics.flatMap((metric) => {
    const percent = percentOf(metric);
    const rows = tasks
      .filter((task) => task.metric === metric)
      .map(({ code, variants: all }) => [code, ...all.map(({ value }) => withInterval(value, percent))]);
    return [
      `${metric} by task and language, in percent, ${when(results)}:`,
      table(["task and language", ...names], rows),
    ];
  });
}

/** As the paper's Tables 6 and 7, and the same by language; nothing where nothing was distilled. */
function distillationTables({ distilled, baseline }: StudyResults, whole: boolean): string[] {
  if (distilled.length === 0) return [];
  const percent = (share: number | null): string => (share === null ? none : `${Math.round(100 * share)} %`);
  const bySeed = (shares: readonly (number | null)[]): string =>
    shares.length > 1 ? ` (${shares.map(percent).join(", ")})` : "";
  const rows = distilled.map((row) => [
    ...[row.variant, count(row.parameters.student), count(row.parameters.teacher), percent(row.compression)],
    ...[withInterval(row.teacher, nats), percent(row.kept) + bySeed(row.keptBySeed)],
  ]);
  const byLanguage = distilled[0].languages.map(({ code, student }) => [
    ...[code, nats(student)],
    ...distilled.flatMap(({ languages }) => {
      const { teacher, distilled: quality, kept } = languages.find((language) => language.code === code)!;
      return [nats(teacher), nats(quality), percent(kept)];
    }),
  ]);
  const names = distilled.flatMap(({ variant }) => ["teacher", variant, "kept"]);
  return [
    `Share of the teacher's gain over “${baseline}” that is kept, (distilled − student) / (teacher − student), of means over seeds, in brackets by seed:`,
    table(["model", "parameters", "teacher's parameters", "compression", "teacher's quality", "gain kept"], rows),
    ...(whole ? ["The same by language, means over seeds:", table(["language", baseline, ...names], byLanguage)] : []),
  ];
}

/** Quality and source use at each evaluation, seed by seed: when each run began to read. */
export function curvesTable({ runs }: StudyResults): string {
  const at = [...new Set(runs.flatMap(({ curve }) => curve.map(({ step }) => step)))].sort((a, b) => a - b);
  // Ten columns at most.
  const shown = at.filter((step, i) => step > 0 && (at.length - 1 - i) % Math.ceil(at.length / 10) === 0);
  const rows = runs.map(({ variant, seed, curve }) => [
    variant,
    String(seed),
    ...shown.map((step) => {
      const point = curve.find((each) => each.step === step);
      return point ? `${nats(point.quality)} (${point.sourceUse?.toFixed(2) ?? none})` : none;
    }),
  ]);
  return table(["model", "seed", ...shown.map(steps)], rows);
}

/** Times of the runs: apart from the results, which do not depend on the machine. */
export function timesMarkdown(title: string, all: readonly StudyTimes[]): string {
  const rows = all.map(({ variant, seconds, secondsToThreshold, positionsPerSecond }) => [
    variant,
    withInterval(seconds, formatDuration),
    withInterval(secondsToThreshold, formatDuration),
    withInterval(positionsPerSecond, count),
  ]);
  const head = ["model", "training time", "time to threshold", "positions a second"];
  return `# ${title}: times\n\n${table(head, rows)}\n`;
}

/** One line a variant (RFC 4180), numbers in full; an empty cell is unknown. */
export function studyCsv({ variants }: StudyResults): string {
  const mean = (value: SeedMean | null): (number | null)[] => [
    value?.mean ?? null,
    ...(value?.interval ?? [null, null]),
  ];
  const measured = ["quality", "source_use", "steps_to_threshold", "step_speedup", "gain"];
  const header = [
    ...["variant", "parameters", "flops_per_step", "positions", "seeds", "diverged", "reached_threshold"],
    ...measured.flatMap((name) => [name, `${name}_low`, `${name}_high`]),
  ];
  const lines = variants.map((row) => [
    ...[row.variant, row.parameters, row.flopsPerStep, row.positions, row.finished, row.diverged, row.reached],
    ...[row.quality, row.sourceUse, row.stepsToThreshold, row.speedup, row.gain].flatMap(mean),
  ]);
  const cell = (value: string | number | null): string =>
    typeof value === "string" ? `"${value.replaceAll('"', '""')}"` : String(value ?? "");
  return [header, ...lines].map((cells) => `${cells.map(cell).join(",")}\r\n`).join("");
}

export function table(header: string[], rows: string[][]): string {
  const line = (cells: string[]): string => `| ${cells.map((cell) => cell.replace(/[|<]/g, "\\$&")).join(" | ")} |`;
  return [line(header), line(header.map((_, i) => (i === 0 ? ":---" : "---:"))), ...rows.map(line)].join("\n");
}
