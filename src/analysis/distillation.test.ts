import { expect, it } from "vitest";
import { compression, shareKept } from "./distillation.js";

const paper = { student: -1.636, teacher: -1.444 };

// Switch Transformers, Table 6.
it.each([
  ["plain distillation", -1.631, 3],
  ["started from the non-expert weights", -1.598, 20],
  ["and 0.75 of hard loss", -1.58, 29],
])("keeps what the paper says: %s", (_, distilled, percent) => {
  expect(Math.round(100 * shareKept({ ...paper, distilled })!)).toBe(percent);
});

it("is below 0 for a student that learnt less, and nothing where there is no gain", () => {
  expect(shareKept({ ...paper, distilled: -1.639 })).toBeLessThan(0);
  expect(shareKept({ student: -1.4, teacher: -1.4, distilled: -1.3 })).toBeNull();
});

// Tables 6 and 7 give 95 and 99 %: within a point.
it("counts what is saved", () => {
  expect(Math.round(100 * compression({ student: 223e6, teacher: 3.8e9 }))).toBe(94);
  expect(Math.round(100 * compression({ student: 223e6, teacher: 14.7e9 }))).toBe(98);
});
