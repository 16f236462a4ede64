import { expect, test } from "vitest";
import { tableLines } from "./table.js";

const rows = [
  ["language", "tokens", "bytes"],
  ["af", "1,000", "20"],
];

test("columns are as wide as their widest cell", () => {
  expect(tableLines(rows, undefined)).toEqual(["language  tokens  bytes", "af         1,000     20"]);
  expect(tableLines([["one"], ["1"]], 80)).toEqual(["one", "1"]);
});

test("columns that a terminal has no room for follow below, with the first one", () => {
  const parts = ["language  tokens", "af         1,000", "", "language  bytes", "af           20"];
  expect(tableLines(rows, 20)).toEqual(parts);
  // A column is never left out, however narrow the terminal.
  expect(tableLines(rows, 5)).toEqual(parts);
});
