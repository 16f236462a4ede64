import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createSchedule } from "./schedule.js";

const probabilitiesOf = (weights: number[]): Float64Array => {
  const total = weights.reduce((a, b) => a + b, 0);
  return Float64Array.from(weights, (weight) => weight / total);
};
const weights = fc.array(fc.oneof(fc.double({ min: 1e-6, max: 1, noNaN: true }), fc.constant(1)), {
  minLength: 1,
  maxLength: 40,
});

describe("createSchedule", () => {
  test("numbers each language's examples 0, 1, 2, … along the stream", () => {
    fc.assert(
      fc.property(weights, fc.nat(), fc.integer({ min: 1, max: 64 }), (w, seed, blockSize) => {
        const schedule = createSchedule(probabilitiesOf(w), seed, blockSize);
        const seen = w.map(() => 0);
        for (let n = 0; n < 500; n++) {
          const { language, example } = schedule.at(n);
          expect(example).toBe(seen[language]++);
        }
        expect([...schedule.counts(500)]).toEqual(seen);
      }),
    );
  });

  test("any place can be asked for first", () => {
    fc.assert(
      fc.property(weights, fc.nat(), fc.array(fc.nat(1e9), { minLength: 1, maxLength: 20 }), (w, seed, places) => {
        const schedule = createSchedule(probabilitiesOf(w), seed);
        for (const n of places) {
          expect(schedule.at(n)).toEqual(createSchedule(probabilitiesOf(w), seed).at(n));
          const before = schedule.counts(n);
          const { language, example } = schedule.at(n);
          expect(before[language]).toBe(example);
          expect(before.reduce((a, b) => a + b)).toBe(n);
        }
      }),
    );
  });

  test("keeps every language within a block's shuffle of its share, for as long as you like", () => {
    const probabilities = probabilitiesOf(Array.from({ length: 107 }, (_, i) => 1 / (i + 1) ** 1.5));
    const blockSize = 1024;
    const schedule = createSchedule(probabilities, 3, blockSize);
    for (const n of [1000, 50_000, 2 ** 30, 2 ** 40]) {
      for (const [language, count] of schedule.counts(n).entries()) {
        const inBlock = blockSize * probabilities[language];
        // Within the open block a language may be all ahead or all behind, and blocks are not exactly 1024 long.
        expect(Math.abs(count - n * probabilities[language])).toBeLessThan(1 + inBlock + 107 * probabilities[language]);
      }
    }
  });

  test("a rare language comes when it is due, rare languages not all at once", () => {
    const rare = 40;
    const probabilities = probabilitiesOf([1e6, ...new Array<number>(rare).fill(1)]);
    const schedule = createSchedule(probabilities, 9);
    const million = schedule.counts(1_000_000);
    expect([...million.subarray(1)].every((count) => count <= 1 + 1)).toBe(true);
    const early = schedule
      .counts(250_000)
      .subarray(1)
      .reduce((a, b) => a + b);
    expect(early).toBeGreaterThan(2); // 10 expected of independent uniform phases
    expect(early).toBeLessThan(25);
  });

  test("is mixed within a block", () => {
    const schedule = createSchedule(Float64Array.of(0.5, 0.5), 1);
    let changes = 0;
    for (let n = 1; n < 1000; n++) if (schedule.at(n).language !== schedule.at(n - 1).language) changes++;
    expect(Math.abs(changes - 500)).toBeLessThan(80); // 5 standard errors
  });

  test("is a function of the seed", () => {
    const order = (seed: number) => {
      const schedule = createSchedule(Float64Array.of(0.3, 0.7), seed);
      return Array.from({ length: 200 }, (_, n) => schedule.at(n).language).join("");
    };
    expect(order(1)).toBe(order(1));
    expect(order(1)).not.toBe(order(2));
  });
});
