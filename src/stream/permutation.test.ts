import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { permutation } from "./permutation.js";

describe("permutation", () => {
  test("maps [0, n) onto itself one to one", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3000 }), fc.nat(), (n, seed) => {
        const order = permutation(n, seed);
        const images = new Set(Array.from({ length: n }, (_, index) => order(index)));
        expect(images.size).toBe(n);
        expect(Math.min(...images)).toBe(0);
        expect(Math.max(...images)).toBe(n - 1);
      }),
    );
  });

  test.each([2 ** 40 + 7, 2 ** 50 - 1, Number.MAX_SAFE_INTEGER])("stays in [0, %d) without collisions", (n) => {
    const order = permutation(n, 1, "large");
    const indices = Array.from({ length: 5000 }, (_, i) => (i < 2500 ? i : n - 1 - i));
    const images = indices.map(order);
    expect(new Set(images).size).toBe(indices.length);
    expect(images.every((image) => Number.isSafeInteger(image) && image >= 0 && image < n)).toBe(true);
    // Neighbours land anywhere: the images' mean is near the middle (5 standard errors).
    const mean = images.reduce((sum, image) => sum + image / n / images.length, 0);
    expect(Math.abs(mean - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 12 / images.length));
  });

  test("is a function of its key", () => {
    const images = (seed: number, name: string) =>
      Array.from({ length: 100 }, (_, i) => permutation(100, seed, name)(i));
    expect(images(1, "a")).toEqual(images(1, "a"));
    expect(images(1, "a")).not.toEqual(images(2, "a"));
    expect(images(1, "a")).not.toEqual(images(1, "b"));
  });

  test("gives every order of a small set about the same chance", () => {
    const draws = 24_000;
    const counts = new Map<string, number>();
    for (let seed = 0; seed < draws; seed++) {
      const order = permutation(4, seed);
      const key = [0, 1, 2, 3].map(order).join("");
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    const expected = draws / 24;
    const chiSquared = [...counts.values()].reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
    expect(counts.size).toBe(24);
    expect(chiSquared).toBeLessThan(49.7); // 23 degrees of freedom, p = 0.001; the seeds are fixed
  });

  test("sends each index anywhere with the same chance", () => {
    const n = 1000;
    const draws = 20_000;
    const cells = new Float64Array(20);
    for (let seed = 0; seed < draws; seed++) cells[Math.floor((permutation(n, seed)(3) * cells.length) / n)]++;
    const expected = draws / cells.length;
    expect(cells.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)).toBeLessThan(43.8); // 19, p = 0.001
  });

  test("keeps no neighbourhood: steps between images of consecutive indices are spread as those of a shuffle", () => {
    const n = 10_000;
    const order = permutation(n, 5);
    let near = 0;
    for (let i = 1; i < n; i++) if (Math.abs(order(i) - order(i - 1)) <= n / 100) near++;
    // A shuffle puts about 2 % of consecutive pairs that near; 5 standard errors.
    expect(Math.abs(near / n - 0.0199)).toBeLessThan(5 * Math.sqrt((0.02 * 0.98) / n));
  });
});
