import * as tf from "@tensorflow/tfjs-core";
import type { RankGroup } from "../distributed/collectives.js";
import { fastOp } from "../fastPath.js";

// E experts, n ranks with E / n experts each, S slots of an expert for one rank's tokens, D dModel

/**
 * Brings each rank's tokens to the ranks of their experts (Switch paper §5.3): one all-to-all. The gradient takes the way back.
 *
 * @param slots_ESD this rank's tokens in the slots of all experts, [E, S, D]
 * @returns all ranks' tokens in the slots of this rank's experts, in order of rank, [E / n, n · S, D]
 */
export function slotsToExperts(slots_ESD: tf.Tensor3D, group: RankGroup): tf.Tensor3D {
  if (group.size === 1) return slots_ESD;
  return fastOp(
    [slots_ESD],
    () => ({ value: toExperts(slots_ESD, group), saved: [] }),
    (dy) => [fromExperts(dy as tf.Tensor3D, group)],
  );
}

/** The way back: `slotsToExperts` turned around. */
export function slotsFromExperts(done_ESD: tf.Tensor3D, group: RankGroup): tf.Tensor3D {
  if (group.size === 1) return done_ESD;
  return fastOp(
    [done_ESD],
    () => ({ value: fromExperts(done_ESD, group), saved: [] }),
    (dy) => [toExperts(dy as tf.Tensor3D, group)],
  );
}

/** How many slots of each group of tokens are in use, int32 [E, G], for this rank's experts and all ranks' groups: [E / n, n · G]. */
export function occupiedByAll(occupied_EG: tf.Tensor2D, group: RankGroup): tf.Tensor2D {
  if (group.size === 1) return occupied_EG;
  return tf.squeeze(toExperts(tf.expandDims(occupied_EG, 2) as tf.Tensor3D, group), [2]);
}

function toExperts(slots_ESD: tf.Tensor3D, group: RankGroup): tf.Tensor3D {
  const [experts, slots, width] = slots_ESD.shape;
  const { size } = group;
  return tf.tidy(() => {
    const byRank = tf.reshape(group.collective("exchange", slots_ESD), [size, experts / size, slots, width]);
    return tf.reshape(tf.transpose(byRank, [1, 0, 2, 3]), [experts / size, size * slots, width]) as tf.Tensor3D;
  });
}

function fromExperts(done_ESD: tf.Tensor3D, group: RankGroup): tf.Tensor3D {
  const [own, all, width] = done_ESD.shape;
  const { size } = group;
  return tf.tidy(() => {
    const byRank = tf.transpose(tf.reshape(done_ESD, [own, size, all / size, width]), [1, 0, 2, 3]);
    return group.collective("exchange", tf.reshape(byRank, [size * own, all / size, width]) as tf.Tensor3D);
  });
}
