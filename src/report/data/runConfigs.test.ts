import { expect, test } from "vitest";
import { syntheticRun } from "../../../test/reportRuns.js";
import type { Run } from "../../run/readRun.js";
import { configDifferences, groupSeeds } from "./runConfigs.js";

function run(name: string, seed: number, config: string): Run {
  const made = syntheticRun({ name, languages: ["af"], steps: [100], speed: () => 1 });
  return { ...made, description: { ...made.description, seed }, config: `name: ${name}\nseed: ${seed}\n${config}` };
}
const dense = "model:\n  preset: tiny\n  switch: null\noptimizer:\n  base: 1\n";
const sparse = "model:\n  preset: tiny\n  switch:\n    experts: 8\noptimizer:\n  base: 0.5\n";

test("runs that differ in their seed only are one side, whatever their names and order", () => {
  const runs = [run("b", 2, dense), run("x", 1, sparse), run("a", 1, dense), run("y", 2, sparse)];
  const names = groupSeeds(runs).map((side) => side.map(({ description }) => description.name));
  expect(names).toEqual([
    ["a", "b"],
    ["x", "y"],
  ]);
});

test("the same seed twice, and runs without a configuration, stand alone", () => {
  const bare = { ...run("bare", 1, ""), config: "" };
  const other = { ...run("other", 2, ""), config: "" };
  expect(groupSeeds([run("a", 1, dense), run("again", 1, dense), bare, other]).map((side) => side.length)).toEqual([
    1, 1, 1, 1,
  ]);
});

test("what differs besides the experts is named", () => {
  expect(configDifferences([run("a", 1, dense)], [run("x", 1, sparse)])).toEqual(["optimizer.base (1, 0.5)"]);
});
