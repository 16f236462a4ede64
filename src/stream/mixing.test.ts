import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { allLanguages } from "../corpus/shards/languages.js";
import { mixingProbabilities } from "./mixing.js";

const sizes = [
  { documents: 100, tokens: 50_000 },
  { documents: 10, tokens: 8_000 },
  { documents: 1, tokens: 1_000 },
];
const sum = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0);

describe("mixingProbabilities", () => {
  test("temperature with alpha 1/3.3 over mC4's pages is mT5's Table 6", () => {
    const languages = allLanguages();
    const mC4 = languages.map(({ trainPages }) => ({ documents: trainPages, tokens: 1 }));
    const probabilities = mixingProbabilities({ strategy: "temperature" }, mC4);
    expect(languages).toHaveLength(107);
    for (const [index, { code, mt5Percent }] of languages.entries()) {
      expect(Math.abs(100 * probabilities[index] - mt5Percent), code).toBeLessThan(0.01);
    }
  });

  test("temperature runs from uniform at alpha 0 to documents at alpha 1", () => {
    expect([...mixingProbabilities({ strategy: "temperature", alpha: 0 }, sizes)]).toEqual([1 / 3, 1 / 3, 1 / 3]);
    expect([...mixingProbabilities({ strategy: "temperature", alpha: 1 }, sizes)]).toEqual([
      100 / 111,
      10 / 111,
      1 / 111,
    ]);
  });

  test("proportional reads every language equally often; uniform gives each the same", () => {
    expect([...mixingProbabilities({ strategy: "proportional" }, sizes)]).toEqual([50 / 59, 8 / 59, 1 / 59]);
    expect([...mixingProbabilities({ strategy: "uniform" }, sizes)]).toEqual([1 / 3, 1 / 3, 1 / 3]);
  });

  test("UniMax caps small languages and shares the rest of the budget evenly", () => {
    // 24,000 tokens: 8,000 each; the smallest has 1,000 and one epoch, so 11,500 each for two; the middle one has 8,000.
    expect([...mixingProbabilities({ strategy: "unimax", budgetTokens: 24_000 }, sizes)]).toEqual([
      15_000 / 24_000,
      8_000 / 24_000,
      1_000 / 24_000,
    ]);
    expect([...mixingProbabilities({ strategy: "unimax", budgetTokens: 24_000, maxEpochs: 5 }, sizes)]).toEqual([
      9_500 / 24_000,
      9_500 / 24_000,
      5_000 / 24_000,
    ]);
    expect([...mixingProbabilities({ strategy: "unimax", budgetTokens: 300 }, sizes)]).toEqual([1 / 3, 1 / 3, 1 / 3]);
  });

  test("UniMax never reads a language more than maxEpochs times within the budget, and never favours a smaller one", () => {
    const manySizes = fc.array(fc.record({ documents: fc.constant(1), tokens: fc.integer({ min: 2, max: 1e9 }) }), {
      minLength: 1,
      maxLength: 30,
    });
    fc.assert(
      fc.property(
        manySizes,
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 9 }),
        (all, part, maxEpochs) => {
          const budgetTokens = part * maxEpochs * sum(all.map(({ tokens }) => tokens));
          const p = mixingProbabilities({ strategy: "unimax", budgetTokens, maxEpochs }, all);
          expect(sum(p)).toBeCloseTo(1, 9);
          for (const [a, { tokens }] of all.entries()) {
            expect((p[a] * budgetTokens) / tokens).toBeLessThan(maxEpochs * (1 + 1e-9));
            for (const [b, other] of all.entries())
              if (other.tokens > tokens) expect(p[b]).toBeGreaterThanOrEqual(p[a] * (1 - 1e-9));
          }
        },
      ),
    );
  });

  test.each([
    { strategy: "temperature", alpha: -1 } as const,
    { strategy: "temperature", alpha: Number.NaN } as const,
    { strategy: "unimax", budgetTokens: 0 } as const,
    { strategy: "unimax", budgetTokens: 10, maxEpochs: 0 } as const,
  ])("refuses %o", (mixing) => {
    expect(() => mixingProbabilities(mixing, sizes)).toThrow(expect.objectContaining({ code: "mixing-invalid" }));
  });
});
