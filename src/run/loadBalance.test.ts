import { expect, test } from "vitest";
import { loadBalance } from "./loadBalance.js";

test("an even split has the entropy ln(experts), a collapse none", () => {
  expect(loadBalance([0.25, 0.25, 0.25, 0.25])).toEqual({
    least: 0.25,
    most: 0.25,
    entropy: expect.closeTo(Math.log(4), 12),
  });
  expect(loadBalance([0, 1, 0])).toEqual({ least: 0, most: 1, entropy: 0 });
  expect(loadBalance(Float32Array.of(0.5, 0.5, 0)).entropy).toBeCloseTo(Math.log(2), 6);
});
