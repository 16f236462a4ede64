import { join } from "node:path";
import type { InspectReport } from "../../analysis/tokenStatistics.js";
import { writeFileAtomic } from "../../base/atomicFile.js";
import { datasetHtml } from "./datasetHtml.js";

/** Writes `dataset.html` into `out` and gives its path. */
export async function writeDatasetPage(report: InspectReport, out: string): Promise<string> {
  const page = join(out, "dataset.html");
  await writeFileAtomic(page, datasetHtml(report));
  return page;
}
