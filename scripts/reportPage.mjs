// The pages' scripts, each as one file, the report's with the parts of ECharts it uses: dist/report-page.js, dist/dataset-page.js.
// And their style sheet.
import { copyFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const echarts =
  "/*! Apache ECharts and ZRender are part of this file: Apache License 2.0 and BSD 3-Clause, echarts.apache.org */";
for (const [input, file, banner] of [
  ["page.ts", "report-page.js", echarts],
  ["datasetPage.ts", "dataset-page.js", ""],
]) {
  const result = await build({
    input: path(`src/report/page/${input}`),
    platform: "browser",
    output: { file: path(`dist/${file}`), format: "es", minify: true, banner },
    logLevel: "warn",
  });
  // It is put between script tags as it is.
  if (/<\/script|<!--/i.test(result.output[0].code)) throw new Error(`${file} would end its own script element`);
}
copyFileSync(path("src/report/page/style.css"), path("dist/report-page.css"));
