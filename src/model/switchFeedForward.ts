import * as tf from "@tensorflow/tfjs-core";
import { forParts, soloGroup, sumOfParts } from "../ops/distributed/collectives.js";
import { type FeedForwardWeights, feedForward } from "../ops/feedForward.js";
import { compactSlots } from "../ops/moe/compactSlots.js";
import { combine, dispatch } from "../ops/moe/dispatch.js";
import { occupiedByAll, slotsFromExperts, slotsToExperts } from "../ops/moe/exchangeSlots.js";
import { expertFeedForward } from "../ops/moe/expertFeedForward.js";
import { expertCapacity, router } from "../ops/moe/router.js";
import type { Dtype } from "../ops/precision.js";
import { type Dropout, dropout, jitter, type NoiseKey } from "../ops/random/noise.js";
import type { RoutingGroup, SwitchConfig } from "./config.js";
import type { ModelGroups } from "./modelGroups.js";
import type { RouterReport } from "./routerReport.js";

// B batch, T positions, N = B·T tokens, D dModel, E experts, G groups, C capacity

export interface SwitchLayer {
  /** `encoder.1`, `decoder.3`, … */
  name: string;
  /** [E, D] */
  router: tf.Tensor;
  /** Of the router's arithmetic; float32 where left out. */
  routerDtype?: Dtype;
  /** Stacked over the experts of this rank. */
  experts: FeedForwardWeights;
  /** Of the layer that every token takes too, without a gate; left out: there is none. */
  sharedExpert?: FeedForwardWeights;
  /** Share of a larger batch's choices that fell on each expert, [E], for `balance: "batch"`; of the tokens at hand where left out. */
  globalLoad_E?: tf.Tensor1D;
}

export interface SwitchOptions {
  /** null: no jitter. */
  jitter: NoiseKey | null;
  /** Of the router's input; left out: none. */
  inputDropout?: Dropout;
  /** Experts are drawn from the router's softmax; left out: the best ones are taken. */
  sample?: NoiseKey;
  /** Left out: none. */
  expertDropout?: Dropout;
  /** Within the shared expert; left out: none. */
  sharedDropout?: Dropout;
  /** Over whom experts, and dFf of each, are split; left out: over nobody. */
  groups?: ModelGroups;
}

export interface SwitchOutput {
  /** The layer's output, 0 for a token without a place; the residual is the caller's. */
  y_BTD: tf.Tensor3D;
  /** Unweighted load-balancing loss. */
  balance: tf.Scalar;
  /** Unweighted router z-loss, computed when asked for. */
  z: () => tf.Scalar;
  report: RouterReport;
}

/** A Switch layer (paper §2.1): each token to its best expert or experts, their outputs times the router's gates; and to the shared one, if any. */
export function switchFeedForward(
  x_BTD: tf.Tensor3D,
  layer: SwitchLayer,
  real_BT: tf.Tensor2D,
  config: SwitchConfig,
  training: boolean,
  options: SwitchOptions,
): SwitchOutput {
  const [batch, length, width] = x_BTD.shape;
  const { experts } = config;
  const dropless = !training && "train" in config.capacity && config.capacity.evaluation === "none";
  const groups = dropless ? 1 : routingGroups(config.group, batch, length);
  const places = placesOf(config, (batch * length) / groups, training);

  const x_ND = tf.reshape(x_BTD, [-1, width]) as tf.Tensor2D;
  const real_N = tf.reshape(real_BT, [-1]) as tf.Tensor1D;
  const { inputDropout: drop, groups: { expert, model } = { expert: soloGroup, model: soloGroup } } = options;
  const noise = options.jitter ? { amount: config.jitter, key: options.jitter } : undefined;
  // Dropout comes after jitter, which is then not the router's.
  const routed_ND = drop ? dropout(noise ? jitter(x_ND, noise.amount, noise.key) : x_ND, drop.rate, drop.key) : x_ND;
  const routing = router(routed_ND, layer.router, real_N, {
    jitter: drop ? undefined : noise,
    groups,
    capacity: places,
    ignorePadding: config.ignorePadding,
    ...{ topK: config.topK, frozen: config.frozen, balance: config.balance, globalLoad_E: layer.globalLoad_E },
    sample: options.sample,
    sequences: batch,
    dtype: layer.routerDtype,
  });

  const { slot_NK, slots } = dropless ? compactSlots(routing.slot_NK, experts, places, expert) : routing;
  const input_BTD = forParts(x_BTD, model);
  const input_ND = tf.reshape(input_BTD, [-1, width]) as tf.Tensor2D;
  const slots_ECD = tf.reshape(dispatch(input_ND, slot_NK, slots), [experts, -1, width]) as tf.Tensor3D;
  const occupied_EG = routing.occupied_EG && occupiedByAll(routing.occupied_EG, expert);
  const own_ECD = expertFeedForward(
    slotsToExperts(slots_ECD, expert),
    layer.experts,
    options.expertDropout,
    occupied_EG,
  );
  const done_ECD = slotsFromExperts(own_ECD, expert);
  // Linear in the experts' outputs: parts are summed token by token, not slot by slot.
  const part_ND = combine(tf.reshape(done_ECD, [-1, width]), slot_NK, forParts(routing.gate_NK, model));
  const routed_BTD = tf.reshape(part_ND, [batch, length, width]) as tf.Tensor3D;
  const part_BTD = layer.sharedExpert
    ? (tf.add(routed_BTD, feedForward(input_BTD, layer.sharedExpert, options.sharedDropout)) as tf.Tensor3D)
    : routed_BTD;
  const report: RouterReport = {
    layer: layer.name,
    load: routing.load_E,
    fractionDropped: routing.fractionDropped,
    meanGateProbability: routing.meanGateProbability,
    expertCounts: routing.expertCounts_BE,
  };
  return { y_BTD: sumOfParts(part_BTD, model) as tf.Tensor3D, balance: routing.balance, z: routing.z, report };
}

/** Slots of each expert in a group of `tokens`. */
export function placesOf({ capacity, experts }: SwitchConfig, tokens: number, training: boolean): number {
  if ("absolute" in capacity) return Math.min(capacity.absolute, tokens);
  const factor = training ? capacity.train : capacity.evaluation;
  return factor === "none" ? tokens : expertCapacity(tokens, experts, factor);
}

/** How many groups a batch's tokens fall into: for a number of tokens, the fewest equal groups that are no larger (T5X). */
export function routingGroups(group: RoutingGroup, batch: number, length: number): number {
  if (group === "sequence") return batch;
  if (group === "batch") return 1;
  const tokens = batch * length;
  let groups = Math.ceil(tokens / group.tokens);
  while (tokens % groups !== 0) groups++;
  return groups;
}
