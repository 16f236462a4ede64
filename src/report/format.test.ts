import { expect, test } from "vitest";
import * as format from "./format.js";

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
