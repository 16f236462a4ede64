import type { InspectReport } from "../analysis/tokenStatistics.js";
import { createProgress } from "../base/progress.js";
import { type InspectOptions, inspectDataset } from "../dataset/check/inspectDataset.js";
import { readManifest } from "../dataset/read/openDataset.js";
import { mixingPreview } from "./mixingPreview.js";

/** `inspectDataset` with a progress bar, and how strategies of mixing would share a run among the dataset's languages. */
export async function describeDataset(dir: string, options: InspectOptions = {}): Promise<InspectReport> {
  const rates = [{ label: "MB/s", scale: 1e-6 }];
  const report = await inspectDataset(dir, { ...options, progress: (parts) => createProgress({ parts, rates }) });
  return { ...report, mixing: mixingPreview(await readManifest(dir)) };
}
