import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, expect, test } from "vitest";
import { loadBackend } from "../../backends/loadBackend.js";
import { compactSlots } from "./compactSlots.js";

beforeAll(() => loadBackend("cpu"));

test("each expert keeps its tokens in their order, in as few slots as the busiest one needs", () => {
  // 3 experts, 5 tokens; the last is not routed.
  const { slot_NK, slots } = compactSlots(tf.tensor2d([10, 0, 11, 1, 15], [5, 1], "int32"), 3, 5);
  expect(slots).toBe(6);
  expect([...slot_NK.dataSync()]).toEqual([4, 0, 5, 1, 6]);
});

test("tokens that are all left out leave one slot an expert", () => {
  const { slot_NK, slots } = compactSlots(tf.tensor2d([4, 4], [2, 1], "int32"), 2, 2);
  expect([[...slot_NK.dataSync()], slots]).toEqual([[2, 2], 2]);
});
