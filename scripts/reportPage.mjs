// The report's page script, with the parts of ECharts it uses, as one file: dist/report-page.js. And its style sheet.
import { copyFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const result = await build({
  input: path("src/report/page/page.ts"),
  platform: "browser",
  output: {
    file: path("dist/report-page.js"),
    format: "es",
    minify: true,
    banner:
      "/*! Apache ECharts and ZRender are part of this file: Apache License 2.0 and BSD 3-Clause, echarts.apache.org */",
  },
  logLevel: "warn",
});
// It is put between script tags as it is.
if (/<\/script|<!--/i.test(result.output[0].code))
  throw new Error("the page's script would end its own script element");
copyFileSync(path("src/report/page/style.css"), path("dist/report-page.css"));
