import { describe, expect, test } from "vitest";
import * as format from "./format.js";

describe("figures", () => {
  test.each([
    [4.949, "4.95"],
    [-3.42, "−3.42"],
    [0.0034567, "0.00346"],
    [9.996, "10.0"],
    [99.95, "100"],
    [1234, "1,230"],
    [0, "0"],
    [1e-7, "0.000000100"],
    [Number.NaN, "–"],
  ])("%f is %s", (value, text) => expect(format.figures(value)).toBe(text));
});

test("counts, bytes, FLOPs and durations carry their unit", () => {
  expect([7, 999, 1000, 12_345, 999_999, 2.5e9].map(format.count)).toEqual([
    "7",
    "999",
    "1.00k",
    "12.3k",
    "1.00M",
    "2.50B",
  ]);
  expect([1.234e9, 5e15].map(format.formatFlops)).toEqual(["1.23 GFLOP", "5.00 PFLOP"]);
  expect([0, 999, 12.34e9].map(format.formatFlops)).toEqual(["0 FLOP", "999 FLOP", "12.3 GFLOP"]);
  expect([512, 1500, 1.44e9, 27e12].map(format.formatBytes)).toEqual(["512 B", "1.50 kB", "1.44 GB", "27.0 TB"]);
  expect([5, 192, 18_420, 183_600, Number.NaN].map(format.formatDuration)).toEqual([
    "5s",
    "3m12s",
    "5h07m",
    "2d03h",
    "?",
  ]);
  expect([0, 5000, 12_500, 1e6, 150].map(format.tick)).toEqual(["0", "5k", "12.5k", "1M", "150"]);
});

test("a duration is read as it is written", () => {
  for (const seconds of [5, 192, 18_420, 183_600]) {
    expect(format.parseDuration(format.formatDuration(seconds))).toBe(seconds);
  }
  expect(["1.5h", "90m", "2d", "1h30m"].map(format.parseDuration)).toEqual([5400, 5400, 172_800, 5400]);
  for (const text of ["", "3", "3 h", "h", "-3h", "soon"]) expect(format.parseDuration(text)).toBeUndefined();
});

test("a message fits a terminal: words whole, below its last column, and nothing lost", () => {
  const terminal = { isTTY: true, columns: 20 };
  expect(format.fitToTerminal("error: the file cannot be read", terminal)).toBe("error: the file\n  cannot be read");
  expect(format.fitToTerminal("  ok  disk is free for all", { isTTY: true, columns: 16 })).toBe(
    "  ok  disk is\n      free for\n      all",
  );
  expect(format.fitToTerminal("/a/path/that/is/longer/than/that", terminal)).toBe("/a/path/that/is/longer/than/that");
  const long = "word ".repeat(50).trim();
  expect(format.fitToTerminal(long, { isTTY: false, columns: 20 })).toBe(long);
  expect(format.fitToTerminal(long, terminal).split(/\s+/).join(" ")).toBe(long);
});
