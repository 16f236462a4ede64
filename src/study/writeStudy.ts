import { join } from "node:path";
import { writeFileAtomic } from "../base/atomicFile.js";
import type { Study } from "./studyFile.js";
import { type StudyResults, studyResults } from "./studyResults.js";
import { studyCsv, studyMarkdown, timesMarkdown } from "./studyTables.js";
import { taskFigures } from "./taskFigures.js";

/**
 * Writes the study's report from what its runs have found so far: `results.json`, `results.md` with
 * `figures/*.svg`, `results.csv`, which do not depend on who computed what and when, and `times.md`, which does.
 */
export async function writeStudy(study: Study): Promise<{ results: StudyResults; report: string }> {
  const { results, times } = await studyResults(study);
  const report = join(study.out, "results.md");
  const figures = taskFigures(results);
  for (const { file, svg } of figures) await writeFileAtomic(join(study.out, file), svg);
  await writeFileAtomic(join(study.out, "results.json"), `${JSON.stringify(results, rounded)}\n`);
  await writeFileAtomic(report, studyMarkdown(results, figures));
  await writeFileAtomic(join(study.out, "results.csv"), studyCsv(results));
  await writeFileAtomic(join(study.out, "times.md"), timesMarkdown(study.title, times));
  return { results, report };
}

/** Six digits are far beyond what a run determines, and keep the file small. */
function rounded(_: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value;
}
