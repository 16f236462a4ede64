// Fits the scaling law of `mswitch plan --speed-up` to the results of studies, and writes data/scaling-law.json.
// usage: node scripts/scalingLaw.mjs [--studies ladder,flagship] [--unseen ladder-unseen] [--resamples 100]   (names in eval/results; after npm run build)
import { readFileSync, writeFileSync } from "node:fs";
import { fitScalingLaw, lawError, publishedLaw, resampleLaws } from "../dist/analysis/scalingLaw.js";
import { fittedLawFile, fittedLawSchema } from "../dist/plan/sparsity/fittedLaw.js";
import { lawPoints } from "../dist/study/lawPoints.js";
import { parseFlags } from "./parseFlags.mjs";

const { values: flags } = parseFlags(import.meta.url, {
  options: {
    studies: { type: "string", default: "ladder,flagship" },
    unseen: { type: "string", default: "ladder-unseen" },
    resamples: { type: "string", default: "100" },
  },
});
const names = (list) => list.split(",").filter(Boolean);
const read = (name) =>
  lawPoints(JSON.parse(readFileSync(new URL(`../eval/results/${name}.json`, import.meta.url), "utf8")), name);
const runsOf = (points) => new Set(points.map(({ run }) => run)).size;

const points = names(flags.studies).flatMap(read);
const unseen = names(flags.unseen).flatMap(read);
const law = fitScalingLaw(points, publishedLaw);
const range = (key) => [Math.min(...points.map((p) => p[key])), Math.max(...points.map((p) => p[key]))];
const fitted = fittedLawSchema.parse({
  studies: names(flags.studies),
  runs: runsOf(points),
  points: points.length,
  law,
  error: lawError(law, points),
  unseen: unseen.length > 0 ? { runs: runsOf(unseen), points: unseen.length, error: lawError(law, unseen) } : null,
  range: { activeParameters: range("activeParameters"), experts: range("experts"), positions: range("positions") },
  resampled: resampleLaws(points, law, { resamples: Number(flags.resamples) }),
});
const rounded = (_, value) =>
  typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value;
writeFileSync(fittedLawFile, `${JSON.stringify(fitted, rounded)}\n`);
process.stdout.write(
  `${fitted.runs} runs, ${fitted.points} points: error ${fitted.error.toFixed(4)} nats${fitted.unseen ? `; ${fitted.unseen.error.toFixed(4)} on ${fitted.unseen.runs} unseen runs` : ""}\n`,
);
