import { expect, test } from "vitest";
import { gpuMemory } from "./gpuMemory.js";

test("a device's memory is told where there is one, and unknown where there is none", () => {
  expect(gpuMemory(0, "999")).toBeUndefined();
  const bytes = gpuMemory(0);
  if (bytes !== undefined) expect(bytes).toBeGreaterThan(2 ** 30);
});
