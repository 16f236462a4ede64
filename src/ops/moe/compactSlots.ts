import * as tf from "@tensorflow/tfjs-core";
import { type RankGroup, soloGroup } from "../distributed/collectives.js";

/**
 * Takes away the slots that no token is in, for a routing without capacity: with as many slots an expert as there are tokens none is
 * dropped, and afterwards each expert has as many as the busiest one needs. Reads the slots back, so it is for inference only.
 *
 * @param slot_NK int32 [N, k], expert · `capacity` + position, `experts` · `capacity` for a token that is not routed
 * @param group the ranks of the experts: on all of them an expert has as many slots
 * @returns the same with the smaller capacity, and how many slots there are then
 */
export function compactSlots(
  slot_NK: tf.Tensor2D,
  experts: number,
  capacity: number,
  group: RankGroup = soloGroup,
): { slot_NK: tf.Tensor2D; slots: number } {
  const given = slot_NK.dataSync<"int32">();
  const none = experts * capacity;
  let needed = 1;
  for (const slot of given) if (slot !== none) needed = Math.max(needed, (slot % capacity) + 1);
  if (group.size > 1) needed = tf.tidy(() => group.collective("max", tf.scalar(needed)).dataSync()[0]);
  const compact = given.map((slot) => Math.floor(slot / capacity) * needed + (slot % capacity));
  return { slot_NK: tf.tensor2d(compact, slot_NK.shape, "int32"), slots: experts * needed };
}
