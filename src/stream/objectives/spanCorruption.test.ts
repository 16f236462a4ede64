import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { memoryVocabulary } from "../../../test/memoryDataset.js";
import { randomStream } from "../../base/random.js";
import type { Corruption } from "../batch.js";
import { exampleLengths, noiseCounts } from "./exampleLengths.js";
import { corruptSpans, randomComposition, uncorrupt } from "./spanCorruption.js";

const vocabulary = memoryVocabulary(1000, 100);
const isSentinel = (id: number): boolean => vocabulary.sentinelIds.includes(id);

function corrupt(
  tokens: number[],
  inputLength: number,
  seed: number,
  corruption: Corruption = {},
): { inputs: Int32Array; targets: Int32Array } {
  const lengths = exampleLengths(inputLength, corruption);
  const inputs = new Int32Array(lengths.inputs);
  const targets = new Int32Array(lengths.targets);
  corruptSpans(Int32Array.from(tokens), vocabulary, randomStream(seed), inputs, targets, corruption);
  return { inputs, targets };
}

/** A segment of up to the full length for one of the input lengths. */
const segment = fc.constantFrom(16, 64, 128, 512).chain((inputLength) =>
  fc.record({
    inputLength: fc.constant(inputLength),
    seed: fc.nat(),
    tokens: fc.array(fc.integer({ min: 2, max: 999 }), {
      minLength: 2,
      maxLength: exampleLengths(inputLength).tokens,
      size: "max",
    }),
  }),
);

describe("corruptSpans", () => {
  test("inputs and targets together give the original tokens back", () => {
    fc.assert(
      fc.property(segment, ({ inputLength, seed, tokens }) => {
        const { inputs, targets } = corrupt(tokens, inputLength, seed);
        expect(uncorrupt(inputs, targets, vocabulary)).toEqual(tokens);
      }),
    );
  });

  test("has T5's form: starts clean, ends masked, sentinels in order, no closing sentinel, end-of-sequence, padding", () => {
    fc.assert(
      fc.property(segment, ({ inputLength, seed, tokens }) => {
        const { inputs, targets } = corrupt(tokens, inputLength, seed);
        const { noise, spans } = noiseCounts(tokens.length);
        const expected = vocabulary.sentinelIds.slice(0, spans);
        const inputEnd = tokens.length - noise + spans;
        const targetEnd = noise + spans;
        expect([...inputs].filter(isSentinel)).toEqual(expected);
        expect([...targets].filter(isSentinel)).toEqual(expected);
        expect(inputs[0]).toBe(tokens[0]);
        expect(inputs[inputEnd - 1]).toBe(vocabulary.sentinelIds[spans - 1]);
        expect(targets[0]).toBe(vocabulary.sentinelIds[0]);
        expect(targets[targetEnd - 1]).toBe(tokens[tokens.length - 1]);
        expect([inputs[inputEnd], targets[targetEnd]]).toEqual([1, 1]);
        expect(inputs.subarray(inputEnd + 1).every((id) => id === 0)).toBe(true);
        expect(targets.subarray(targetEnd + 1).every((id) => id === 0)).toBe(true);
      }),
    );
  });

  test("of other densities and spans the tokens come back too, as many masked as was asked for", () => {
    const tokens = Array.from({ length: 60 }, (_, i) => 2 + i);
    for (const noiseDensity of [0.05, 0.3, 0.5, 0.9]) {
      for (const meanNoiseSpanLength of [1, 2, 10]) {
        const corruption = { noiseDensity, meanNoiseSpanLength };
        const { noise, spans } = noiseCounts(tokens.length, corruption);
        expect(noise).toBe(60 * noiseDensity);
        const { inputs, targets } = corrupt(tokens, 64, 3, corruption);
        expect(uncorrupt(inputs, targets, vocabulary)).toEqual(tokens);
        expect([...targets].filter(isSentinel)).toEqual(vocabulary.sentinelIds.slice(0, spans));
      }
    }
  });

  test("a full segment fills both rows", () => {
    for (const inputLength of [64, 128, 256, 512, 1024]) {
      const { tokens } = exampleLengths(inputLength);
      const { inputs, targets } = corrupt(new Array<number>(tokens).fill(5), inputLength, 1);
      expect([inputs.at(-1), targets.at(-1)]).toEqual([1, 1]);
    }
  });

  test("another key, another mask; the same key, the same", () => {
    const tokens = Array.from({ length: 568 }, (_, i) => 2 + i);
    expect(corrupt(tokens, 512, 1)).toEqual(corrupt(tokens, 512, 1));
    expect(corrupt(tokens, 512, 1)).not.toEqual(corrupt(tokens, 512, 2));
  });
});

describe("randomComposition", () => {
  test("gives every composition the same chance", () => {
    const random = randomStream(7);
    const counts = new Map<string, number>();
    const draws = 20_000;
    for (let i = 0; i < draws; i++) {
      const composition = randomComposition(6, 3, random).join(" ");
      counts.set(composition, (counts.get(composition) ?? 0) + 1);
    }
    expect(counts.size).toBe(10); // C(5, 2)
    const chiSquared = [...counts.values()].reduce((sum, n) => sum + (n - draws / 10) ** 2 / (draws / 10), 0);
    expect(chiSquared).toBeLessThan(27.9); // 9 degrees of freedom, p = 0.001; the seed is fixed
  });

  test("parts are not empty and add up", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 400 }), fc.nat(), fc.nat(), (items, pick, seed) => {
        const parts = 1 + (pick % items);
        const lengths = randomComposition(items, parts, randomStream(seed));
        expect(lengths).toHaveLength(parts);
        expect(Math.min(...lengths)).toBeGreaterThanOrEqual(1);
        expect(lengths.reduce((a, b) => a + b)).toBe(items);
      }),
    );
  });
});

describe("uncorrupt", () => {
  const s = vocabulary.sentinelIds;

  test.each([
    ["another sentinel", [5, s[0], 1], [s[1], 6, 1]],
    ["a span too many in the targets", [5, s[0], 1], [s[0], 6, s[1], 7, 1]],
    ["a span too few in the targets", [5, s[0], 6, s[1], 1], [s[0], 6, 1]],
    ["sentinels out of order", [5, s[1], 1], [s[1], 6, 1]],
    ["targets without an end", [5, s[0], 1], [s[0], 6]],
    ["inputs without an end", [5, s[0]], [s[0], 6, 1]],
  ])("refuses %s", (_, inputs, targets) => {
    expect(() => uncorrupt(Int32Array.from(inputs), Int32Array.from(targets), vocabulary)).toThrow(
      expect.objectContaining({ code: "example-inconsistent" }),
    );
  });
});
