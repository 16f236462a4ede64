import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { memoryVocabulary } from "../../../test/memoryDataset.js";
import { requireZeroPadding } from "../../vocab/loadVocabulary.js";
import { exampleLengths, noiseCounts, requireSentinels } from "./exampleLengths.js";

describe("exampleLengths", () => {
  test.each([
    [64, 70, 14],
    [128, 141, 29],
    [256, 284, 58],
    [512, 568, 114],
    [1024, 1137, 229],
    [2048, 2274, 456],
  ])("T5's lengths for %i inputs: %i tokens, %i targets", (inputs, tokens, targets) => {
    expect(exampleLengths(inputs)).toEqual({ inputs, tokens, targets });
  });

  test("inputs are filled exactly, and one raw token more would not fit", () => {
    fc.assert(
      fc.property(fc.integer({ min: 3, max: 3000 }), (inputLength) => {
        const { inputs, tokens } = exampleLengths(inputLength);
        const more = noiseCounts(tokens + 1);
        expect(inputs).toBe(inputLength);
        expect(tokens + 1 - more.noise + more.spans + 1).toBeGreaterThan(inputLength);
      }),
    );
  });

  // As NumPy counts in float32.
  test.each([
    [512, 0.5, 3, 767, 513],
    [512, 0.5, 32, 991, 513],
    [512, 0.15, 8, 588, 100],
    [512, 0.25, 1.5, 558, 234],
    [512, 0.15, 1, 511, 155],
    [32, 0.15, 2, 34, 8],
  ])(
    "%i inputs, noise %d, spans of %d: %i tokens, %i targets",
    (inputs, noiseDensity, meanNoiseSpanLength, tokens, targets) => {
      expect(exampleLengths(inputs, { noiseDensity, meanNoiseSpanLength })).toEqual({ inputs, tokens, targets });
    },
  );

  test("with any corruption no example is too long, and each span has kept tokens before it", () => {
    const corruption = fc.record({
      noiseDensity: fc.double({ min: 0.001, max: 0.9, noNaN: true }),
      meanNoiseSpanLength: fc.double({ min: 1, max: 40, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.integer({ min: 3, max: 300 }), corruption, (inputLength, chosen) => {
        const { inputs, tokens, targets } = exampleLengths(inputLength, chosen);
        expect(inputLength - inputs).toBeOneOf([0, 1]);
        const more = noiseCounts(tokens + 1, chosen);
        expect(tokens + 1 - more.noise + more.spans + 1).toBeGreaterThan(inputLength);
        for (let length = 2; length <= tokens; length++) {
          const { noise, spans } = noiseCounts(length, chosen);
          expect(spans).toBeLessThanOrEqual(Math.min(noise, length - noise));
          expect(length - noise + spans + 1).toBeLessThanOrEqual(inputs);
          expect(noise + spans + 1).toBeLessThanOrEqual(targets);
        }
      }),
    );
  });

  test.each([2, 0, -5, 12.5, Number.NaN])("refuses %d", (inputLength) => {
    expect(() => exampleLengths(inputLength)).toThrow(expect.objectContaining({ code: "input-length-invalid" }));
  });
});

describe("noiseCounts", () => {
  test.each([
    // Degenerate lengths are clamped: something is masked, something is kept.
    [2, 1, 1],
    [3, 1, 1],
    // Ties go to the even neighbour: 1.5 → 2, 4.5 → 4, 7.5 → 8, 85.5 → 86.
    [10, 2, 1],
    [30, 4, 1],
    [50, 8, 3],
    [70, 10, 3],
    [568, 85, 28],
    [570, 86, 29],
    [1137, 171, 57],
    [2274, 341, 114],
  ])("%i tokens: %i masked in %i spans", (tokens, noise, spans) => {
    expect(noiseCounts(tokens)).toEqual({ noise, spans });
  });

  test.each([
    [7, 0.3, 1.3, 2, 2],
    [21, 0.45, 2.5, 9, 4],
    [35, 0.3, 1.3, 10, 8],
    [333, 0.3, 1.3, 100, 77],
    [333, 0.45, 2.5, 150, 60],
  ])(
    "%i tokens, noise %d, spans of %d: %i masked in %i spans",
    (tokens, noiseDensity, meanNoiseSpanLength, noise, spans) => {
      expect(noiseCounts(tokens, { noiseDensity, meanNoiseSpanLength })).toEqual({ noise, spans });
    },
  );
});

test("a vocabulary whose padding is not 0 is refused by name", () => {
  const vocabulary = memoryVocabulary(1000, 100);
  const check = () => requireZeroPadding({ ...vocabulary, padId: 3 });
  expect(check).toThrow(
    expect.objectContaining({
      code: "vocabulary-padding-invalid",
      where: expect.stringContaining("memory.model"),
      exitCode: 2,
    }),
  );
  requireZeroPadding(vocabulary);
});

describe("requireSentinels", () => {
  test("names the vocabulary and both numbers where spans outnumber sentinels", () => {
    const check = () => requireSentinels(exampleLengths(2048), memoryVocabulary(1000, 100));
    expect(check).toThrow(
      expect.objectContaining({
        code: "vocabulary-sentinels-too-few",
        where: expect.stringContaining("memory.model"),
        exitCode: 2,
      }),
    );
  });

  test("is content where every span has one", () => {
    requireSentinels(exampleLengths(2048), memoryVocabulary(1000, 114));
    requireSentinels(exampleLengths(1024), memoryVocabulary(1000, 57));
  });
});
