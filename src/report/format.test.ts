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

test("counts, FLOPs and durations carry their unit", () => {
  expect([7, 999, 1000, 12_345, 999_999, 2.5e9].map(format.count)).toEqual([
    "7",
    "999",
    "1.00k",
    "12.3k",
    "1.00M",
    "2.50B",
  ]);
  expect([1.234e9, 5e15].map(format.flops)).toEqual(["1.23 GFLOP", "5.00 PFLOP"]);
  expect([42, 192, 5400, 200_000].map(format.duration)).toEqual(["42.0 s", "3.20 min", "1.50 h", "2.31 d"]);
  expect([0, 5000, 12_500, 1e6, 150].map(format.tick)).toEqual(["0", "5k", "12.5k", "1M", "150"]);
});

test("intervals are readable with a sign and absent where there is none", () => {
  expect(format.interval({ value: 1, interval: [0.5, 2] })).toBe("0.500–2.00");
  expect(format.interval({ value: 0, interval: [-0.05, 0.02] })).toBe("−0.0500 to 0.0200");
  expect(format.interval({ value: 1, interval: null })).toBe("");
  expect(format.percentInterval({ value: 0.9, interval: [0.88, 0.93] })).toBe("88–93\u202f%");
});

test("bounds and reversed matches are marked", () => {
  const match = { of: "baseline", quality: -1, baselineStep: 1, candidateStep: 1, bound: "none" } as const;
  expect(format.markedTimes(4.949, match)).toBe("4.95×");
  expect(format.markedTimes(10, { ...match, bound: "atLeast" })).toBe("≥\u202f10.0×");
  expect(format.markedTimes(0.5, { ...match, of: "candidate" })).toBe("0.500×†");
  expect(format.markedTimes(0.5, { ...match, of: "candidate", bound: "atMost" })).toBe("≤\u202f0.500×†");
});
