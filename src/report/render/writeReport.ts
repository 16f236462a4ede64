import { join } from "node:path";
import type { InspectReport } from "../../analysis/tokenStatistics.js";
import { writeFileAtomic } from "../../base/atomicFile.js";
import type { Run } from "../../run/readRun.js";
import { type ReportData, type ReportOptions, reportData } from "../data/reportData.js";
import { comparisonFigures, figuresOf } from "./figures.js";
import { reportCsv } from "./reportCsv.js";
import { reportHtml } from "./reportHtml.js";
import { reportMarkdown } from "./reportMarkdown.js";

/**
 * Compares the first run with the others and writes the report into `out`: `index.html`, `report.md` with `figures/*.svg`,
 * `speedups.csv`, `speedups.json`. A pure function of the runs' files and of `dataset`. The page is written last.
 *
 * @throws usageError where the runs cannot be compared; nothing is written then
 */
export async function writeReport(
  runs: readonly Run[],
  out: string,
  { dataset, ...options }: ReportOptions & { dataset?: InspectReport } = {},
): Promise<{ data: ReportData; page: string }> {
  const data = reportData(runs, options);
  const together = comparisonFigures(data);
  const figures = data.candidates.map((_, i) => figuresOf(data, i));
  const page = join(out, "index.html");
  const files: [string, string][] = [
    ...[...together, ...figures.flat()].map(({ file, svg }): [string, string] => [join(out, file), svg]),
    [join(out, "speedups.csv"), reportCsv(data)],
    [join(out, "speedups.json"), `${JSON.stringify(data, null, 1)}\n`],
    [join(out, "report.md"), reportMarkdown(data, figures, together)],
    [page, reportHtml(data, runs, dataset)],
  ];
  for (const [path, text] of files) await writeFileAtomic(path, text);
  return { data, page };
}
