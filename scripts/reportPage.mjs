// The pages' scripts, each as one file, the report's with the parts of ECharts it uses: dist/report-page.js, dist/dataset-page.js.
// And their style sheet.
import { copyFileSync } from "node:fs";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";

const root = fileURLToPath(new URL("..", import.meta.url));
const echarts =
  "/*! Apache ECharts and ZRender are part of this file: Apache License 2.0 and BSD 3-Clause, echarts.apache.org */";

/** @returns the sources they were made of, and what was written */
export async function buildPages() {
  const inputs = [];
  for (const [input, file, banner] of [
    ["page.ts", "report-page.js", echarts],
    ["datasetPage.ts", "dataset-page.js", ""],
  ]) {
    const { output } = await build({
      input: `${root}src/report/page/${input}`,
      platform: "browser",
      output: { file: `${root}dist/${file}`, format: "es", minify: true, banner },
      logLevel: "warn",
    });
    // It is put between script tags as it is.
    if (/<\/script|<!--/i.test(output[0].code)) throw new Error(`${file} would end its own script element`);
    inputs.push(...output[0].moduleIds.filter((id) => id.startsWith(`${root}src/`)).map((id) => relative(root, id)));
  }
  copyFileSync(`${root}src/report/page/style.css`, `${root}dist/report-page.css`);
  return { inputs, outputs: ["dist/report-page.js", "dist/dataset-page.js", "dist/report-page.css"] };
}
