import { expect, it } from "vitest";
import type { Run } from "../run/readRun.js";
import { studyTaskMeans, studyTaskResults } from "./taskResults.js";

const lastOf = ({ points }: Run): Run["points"][number] => points[points.length - 1];

/** A run of which the last evaluation alone matters. */
function runWith(metrics: Record<string, Record<string, number>>): Run {
  const languages = Object.fromEntries(
    Object.entries(metrics).map(([code, values]) => [
      code,
      { negLogPerplexity: -1, exampleLogProbs: [], exampleTokens: [], metrics: values },
    ]),
  );
  return {
    points: [
      { step: 0, languages: {}, routing: [] },
      { step: 9, languages, routing: [] },
    ],
  } as unknown as Run;
}

it("has the mean over seeds of each metric by task and language, and none where a variant was not measured", () => {
  const dense = [runWith({ "n/af": { exactMatch: 0.2 } }), runWith({ "n/af": { exactMatch: 0.4 } })];
  const sparse = [runWith({ "n/af": { exactMatch: 0.5, chrF: 0.6 }, "n/de": { exactMatch: 1 } })];
  const results = studyTaskResults(new Map(Object.entries({ dense, sparse })), lastOf);
  expect(results.map(({ metric, code }) => [metric, code])).toEqual([
    ["chrF", "n/af"],
    ["exactMatch", "n/af"],
    ["exactMatch", "n/de"],
  ]);
  const means = results.map(({ variants }) => variants.map(({ value }) => value?.mean ?? null));
  expect(means[0]).toEqual([null, 0.6]);
  expect(means[1][0]).toBeCloseTo(0.3, 12);
  expect(means[2]).toEqual([null, 1]);
});

it("has a task's mean over its languages, then over seeds, of the evaluation that counts", () => {
  const first = runWith({ "n.af": { exactMatch: 0.2 }, "n.de": { exactMatch: 0.4 }, "e.af": { exactMatch: 1 } });
  const second = runWith({ "n.af": { exactMatch: 0.6 }, "n.de": { exactMatch: 0.8 }, "e.af": { exactMatch: 0 } });
  const runs = new Map([
    ["dense", [first, second]],
    ["sparse", []],
  ]);
  const means = studyTaskMeans(runs, lastOf);
  expect(means.map(({ task, metric, languages }) => [task, metric, languages])).toEqual([
    ["e", "exactMatch", 1],
    ["n", "exactMatch", 2],
  ]);
  expect(means.map(({ variants }) => variants.map(({ value }) => value?.mean ?? null))).toEqual([
    [0.5, null],
    [0.5, null],
  ]);
  expect(means[1].variants[0].value!.interval).not.toBeNull();
  expect(studyTaskMeans(runs, ({ points }) => points[0])).toEqual([]);
});
