import * as fc from "fast-check";
import { expect, test } from "vitest";
import { isotonicRegression } from "./isotonicRegression.js";

const values = fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: 1, maxLength: 30 });

test("a rising curve comes back as it is", () => {
  expect([...isotonicRegression([-3, -2, -2, -1])]).toEqual([-3, -2, -2, -1]);
});

test("a dip is pooled with what it falls below", () => {
  expect([...isotonicRegression([1, 3, 2, 4])]).toEqual([1, 2.5, 2.5, 4]);
  expect([...isotonicRegression([3, 2, 1])]).toEqual([2, 2, 2]);
});

test("it never falls, keeps the mean, and no other rising curve tried is nearer", () => {
  fc.assert(
    fc.property(values, values, (measured, other) => {
      const fit = isotonicRegression(measured);
      const sum = (xs: ArrayLike<number>) => Array.from(xs).reduce((total, x) => total + x, 0);
      for (let i = 1; i < fit.length; i++) expect(fit[i]).toBeGreaterThanOrEqual(fit[i - 1]);
      expect(sum(fit)).toBeCloseTo(sum(measured), 6);
      const rival = measured.map((_, i) => other[i % other.length]).sort((a, b) => a - b);
      const distance = (curve: ArrayLike<number>) => sum(measured.map((x, i) => (x - curve[i]) ** 2));
      expect(distance(fit)).toBeLessThanOrEqual(distance(rival) + 1e-6);
    }),
  );
});
