// Writes the tables of docs/results.md from eval/results/*.json, the results.json of studies: what stands between
// <!-- study NAME --> (or <!-- curves NAME -->, for runs that differ in length; <!-- ladder NAME --> for sizes by experts; <!-- summary NAME -->, without tables by language) and <!-- end --> is replaced. `--check` changes nothing and fails where the two differ. Needs `npm run build`.
import { readFileSync, writeFileSync } from "node:fs";
import { ladderTable } from "../dist/study/ladderTable.js";
import { curvesTable, studyTable } from "../dist/study/studyTables.js";

const path = (name) => new URL(`../${name}`, import.meta.url);
const page = readFileSync(path("docs/results.md"), "utf8");
const tables = {
  study: studyTable,
  curves: curvesTable,
  ladder: ladderTable,
  summary: (results) => studyTable(results, false),
};
const made = page.replace(
  /(<!-- (study|curves|ladder|summary) ([\w-]+) -->\n)[\s\S]*?(<!-- end -->)/g,
  (_, begin, kind, name, end) => {
    const results = JSON.parse(readFileSync(path(`eval/results/${name}.json`), "utf8"));
    return `${begin}${tables[kind](results)}\n${end}`;
  },
);
if (process.argv.includes("--check")) process.exit(made === page ? 0 : 1);
writeFileSync(path("docs/results.md"), made);
