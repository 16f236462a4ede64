import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { forEachConcurrently } from "./forEachConcurrently.js";

describe("forEachConcurrently", () => {
  it("works on every item once, as many at a time as it may", async () => {
    const seen: number[] = [];
    let atOnce = 0;
    let most = 0;
    await forEachConcurrently([...Array(50).keys()], 3, async (item) => {
      most = Math.max(most, ++atOnce);
      for (let turns = item % 4; turns > 0; turns--) await turn();
      atOnce--;
      seen.push(item);
    });
    expect(seen.toSorted((a, b) => a - b)).toEqual([...Array(50).keys()]);
    expect(most).toBe(3);
  });

  it("begins nothing more once an item failed", async () => {
    const begun: number[] = [];
    const work = async (item: number): Promise<void> => {
      begun.push(item);
      await turn();
      if (item === 2) throw new Error("two");
    };
    await expect(forEachConcurrently([0, 1, 2, 3, 4, 5, 6, 7], 2, work)).rejects.toThrow("two");
    for (let turns = 0; turns < 5; turns++) await turn();
    expect(begun.length).toBeLessThan(6);
  });
});
