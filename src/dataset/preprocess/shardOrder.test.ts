import { expect, it } from "vitest";
import type { Shard } from "../../corpus/shards/shard.js";
import { inOrder, ShardQueue, simulateRun } from "./shardOrder.js";

const shard = (language: string, index: number, bytes: number): Shard => ({
  name: `${language}-${index}`,
  language,
  split: "train",
  index,
  count: 9,
  path: `/${language}-${index}`,
  bytes,
});
const shards = [shard("af", 0, 5), shard("en", 0, 7), shard("en", 1, 9), shard("am", 0, 10), shard("af", 1, 6)];

it("goes from the largest language to the smallest, and in each from the largest shard on", () => {
  expect(inOrder(shards).map(({ name }) => name)).toEqual(["en-1", "en-0", "af-1", "af-0", "am-0"]);
});

it("keeps a worker with its language, and apart from the others as long as there are languages", () => {
  const queue = new ShardQueue(shards);
  expect(queue.take(undefined, [])?.name).toBe("en-1");
  expect(queue.take(undefined, ["en"])?.name).toBe("af-1");
  // Whoever is done first goes on with what it knows.
  expect(queue.take("af", ["en"])?.name).toBe("af-0");
  expect(queue.take("af", ["en"])?.name).toBe("am-0");
  expect(queue.take("am", ["en"])?.name).toBe("en-0");
  expect(queue.take("en", [])).toBeUndefined();
});

it("takes shards that come later", () => {
  const queue = new ShardQueue();
  queue.add(shard("af", 0, 5));
  expect(queue.take("am", [])?.name).toBe("af-0");
  queue.add(shard("am", 0, 5));
  queue.add(shard("am", 1, 8));
  queue.add(shard("am", 2, 6));
  expect([1, 2, 3].map(() => queue.take("am", [])?.name)).toEqual(["am-1", "am-2", "am-0"]);
});

it("simulates a run: each worker keeps to a language", () => {
  const seconds = ({ bytes }: Shard): number => bytes;
  expect(simulateRun(shards, 1, seconds)).toBe(37);
  // en: 9 + 7 by the one, af and am: 6 + 5 + 10 by the other.
  expect(simulateRun(shards, 2, seconds)).toBe(21);
  expect(simulateRun([], 2, seconds)).toBe(0);
});
