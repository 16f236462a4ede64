import { describe, expect, it } from "vitest";
import { taskMetric, tokenF1 } from "./taskMetrics.js";

describe("taskMetric", () => {
  const outputs = [
    { prediction: " twenty\u00a0 two ", references: ["twenty two"] },
    { prediction: "Twenty two", references: ["twenty two", "22"] },
    { prediction: "e\u0301", references: ["\u00e9"] },
    { prediction: "three", references: ["four"] },
  ];

  it("takes an output for exact whatever its white space and its composition, and not its case", () => {
    expect(taskMetric("exactMatch", outputs, "en")).toBe(0.5);
    expect(taskMetric("accuracy", outputs, "en")).toBe(0.5);
  });

  it("takes the best reference of each output, and the mean over outputs", () => {
    expect(taskMetric("f1", outputs, "en")).toBe(0.5);
    expect(taskMetric("f1", [{ prediction: "b c", references: ["a", "the b d", "b c d"] }], "en")).toBe(0.8);
  });
});

// Values by SQuAD's evaluate-v1.1.py, f1_score.
describe("tokenF1", () => {
  it.each([
    ["The Eiffel Tower", "eiffel tower!", "en", 1],
    ["in 1889, at the fair", "1889", "en", 0.4],
    ["a b b c", "b b b", "en", (2 * ((2 / 3) * (2 / 3))) / (4 / 3)],
    ["theatre", "atre", "en", 0],
    ["U.S.", "us", "en", 1],
    ["der Eiffelturm", "Eiffelturm", "de", 2 / 3],
    ["Ünthe", "n", "de", 0],
    ["", "", "en", 1],
    ["the", "", "en", 1],
    ["", "x", "en", 0],
  ])("of %j and %j is SQuAD's", (prediction, reference, lang, value) => {
    expect(tokenF1(prediction, reference, lang)).toBeCloseTo(value, 12);
  });

  it("counts characters where there are no spaces, without punctuation of any script", () => {
    expect(tokenF1("1889 年，巴黎。", "1889年", "zh")).toBeCloseTo((2 * 1 * (5 / 7)) / (1 + 5 / 7), 12);
    expect(tokenF1("กรุงเทพ", "กรุง", "th")).toBeGreaterThan(0.7);
    expect(tokenF1("กรุงเทพ", "กรุง", "de")).toBe(0);
  });
});
