import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { expectClose, expectGradients, random, rowsOf, testBackends } from "../../test/helpers/tensors.js";
import { loadBackend } from "../backends/loadBackend.js";
import { type FeedForwardWeights, feedForward } from "../ops/feedForward.js";
import { expertCapacity } from "../ops/moe/router.js";
import type { SwitchConfig } from "./config.js";
import { preset } from "./presets.js";
import { routingGroups, switchFeedForward } from "./switchFeedForward.js";

const [batch, length, width, hidden, experts] = [4, 6, 5, 7, 3];
const base: SwitchConfig = { ...preset("tiny-switch").switch!, experts, group: "batch", jitter: 0 };
const noNoise = { jitter: null };

interface Inputs {
  x: tf.Tensor3D;
  router: tf.Tensor;
  wi0: tf.Tensor;
  wi1: tf.Tensor;
  wo: tf.Tensor;
}

function inputs(): Inputs {
  return {
    x: random([batch, length, width], 1) as tf.Tensor3D,
    router: random([experts, width], 2),
    wi0: random([experts, hidden, width], 3),
    wi1: random([experts, hidden, width], 4),
    wo: random([experts, width, hidden], 5),
  };
}

function layerOf({ router, wi0, wi1, wo }: Inputs) {
  const weights: FeedForwardWeights = { kind: "gated-gelu", wi0, wi1, wo };
  return { name: "encoder.1", router, experts: weights };
}

/**
 * The layer as Mesh TensorFlow and the paper's appendix F write it: one-hot tensors of [groups, tokens, experts, capacity] and
 * products with them.
 */
function meshSwitch({ x, router, wi0, wi1, wo }: Inputs, groups: number, capacity: number, real: tf.Tensor): tf.Tensor {
  const tokens = (batch * length) / groups;
  const x_GSD = tf.reshape(x, [groups, tokens, width]);
  const real_GS1 = tf.reshape(real, [groups, tokens, 1]);
  const probs_GSE = tf.softmax(
    tf.reshape(tf.matMul(tf.reshape(x, [-1, width]), router, false, true), [groups, tokens, experts]),
  );
  const mask_GSE = tf.mul(tf.cast(tf.oneHot(tf.argMax(probs_GSE, -1), experts), "float32"), real_GS1);
  const position_GSE = tf.mul(tf.cumsum(mask_GSE, 1, true), mask_GSE);
  const kept_GSE = tf.mul(mask_GSE, tf.cast(tf.less(position_GSE, capacity), "float32"));
  const place_GS = tf.cast(tf.sum(tf.mul(position_GSE, kept_GSE), 2), "int32");
  const place_GSC = tf.cast(tf.oneHot(place_GS, capacity), "float32");
  const dispatch_GSEC = tf.mul(tf.expandDims(kept_GSE, 3), tf.expandDims(place_GSC, 2));
  const outputs: tf.Tensor[] = [];
  for (let g = 0; g < groups; g++) {
    const own = (t: tf.Tensor): tf.Tensor => tf.unstack(t)[g];
    const dispatch_S_EC = tf.reshape(own(dispatch_GSEC), [tokens, experts * capacity]);
    const slots_ECD = tf.reshape(tf.matMul(dispatch_S_EC, own(x_GSD), true, false), [experts, capacity, width]);
    const done = tf.unstack(slots_ECD).map((slots, e) => {
      const product = (a: tf.Tensor, w: tf.Tensor): tf.Tensor => tf.matMul(a, tf.unstack(w)[e], false, true);
      const gate = product(slots, wi0);
      const cubic = tf.add(gate, tf.mul(tf.pow(gate, 3), 0.044715));
      const gelu = tf.mul(tf.mul(gate, 0.5), tf.add(tf.tanh(tf.mul(cubic, Math.sqrt(2 / Math.PI))), 1));
      return product(tf.mul(gelu, product(slots, wi1)), wo);
    });
    const y_SD = tf.matMul(dispatch_S_EC, tf.concat(done, 0));
    outputs.push(tf.mul(y_SD, tf.max(own(probs_GSE), 1, true)));
  }
  return tf.reshape(tf.stack(outputs), [batch, length, width]);
}

describe("routingGroups", () => {
  it("makes each sequence a group, or the batch one", () => {
    expect(routingGroups("sequence", 4, 6)).toBe(4);
    expect(routingGroups("batch", 4, 6)).toBe(1);
  });

  it("takes the fewest equal groups no larger than a number of tokens", () => {
    expect(routingGroups({ tokens: 4096 }, 16, 512)).toBe(2);
    expect(routingGroups({ tokens: 100 }, 16, 114)).toBe(19);
    expect(routingGroups({ tokens: 4096 }, 2, 114)).toBe(1);
  });
});

describe.each(testBackends)("switchFeedForward on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  const someReal = (): tf.Tensor2D =>
    tf.tensor2d([6, 3, 0, 5].map((n) => Array.from({ length }, (_, t) => (t < n ? 1 : 0))));

  it.each([
    ["batch", { train: 1.25, evaluation: 2 }, false],
    ["sequence", { absolute: 2 }, false],
    ["sequence", { absolute: 64 }, true],
    [{ tokens: 12 }, { train: 1, evaluation: 2 }, true],
  ] as const)(
    "equals Mesh's one-hot form: groups %o, capacity %o, padding ignored %s",
    (group, capacity, ignorePadding) => {
      const all = inputs();
      const config = { ...base, group, capacity, ignorePadding };
      const real = someReal();
      const { y_BTD } = switchFeedForward(all.x, layerOf(all), real, config, true, noNoise);
      const groups = routingGroups(group, batch, length);
      const tokens = (batch * length) / groups;
      const places = "absolute" in capacity ? capacity.absolute : expertCapacity(tokens, experts, capacity.train);
      const expected = meshSwitch(all, groups, places, ignorePadding ? real : tf.onesLike(real));
      expectClose(y_BTD.dataSync(), expected.dataSync());
    },
  );

  it.each(["batch", "sequence"] as const)("drops no token in evaluation without capacity, groups %s", (group) => {
    const all = inputs();
    // Every token to one expert: any capacity but all of them would drop some.
    all.router = tf.concat([tf.fill([1, width], 9), tf.zeros([experts - 1, width])]);
    all.x = tf.abs(all.x);
    const config: SwitchConfig = { ...base, group, capacity: { train: 1, evaluation: "none" }, ignorePadding: true };
    const real = someReal();
    const { y_BTD, report } = switchFeedForward(all.x, layerOf(all), real, config, false, noNoise);
    expectClose(y_BTD.dataSync(), meshSwitch(all, 1, batch * length, real).dataSync());
    expect(report.fractionDropped.dataSync()[0]).toBe(0);
  });

  it("has the right gradients, dropped tokens and all", () => {
    const { x, router, wi0, wi1, wo } = inputs();
    const config: SwitchConfig = { ...base, capacity: { absolute: 4 } };
    expectGradients(
      (...[x, router, wi0, wi1, wo]) => {
        const layer = layerOf({ x: x as tf.Tensor3D, router, wi0, wi1, wo });
        return switchFeedForward(x as tf.Tensor3D, layer, someReal(), config, true, noNoise).y_BTD;
      },
      [x, router, wi0, wi1, wo],
      5e-3,
    );
  });

  it("reports what the router did", () => {
    const all = inputs();
    const config: SwitchConfig = { ...base, capacity: { absolute: 2 }, ignorePadding: true };
    const real = someReal();
    const { report } = switchFeedForward(all.x, layerOf(all), real, config, true, noNoise);
    const probs = tf
      .softmax(tf.matMul(tf.reshape(all.x, [-1, width]), all.router, false, true))
      .arraySync() as number[][];
    const counts = Array.from({ length: batch }, () => Array(experts).fill(0));
    let gates = 0;
    [6, 3, 0, 5].forEach((n, b) => {
      for (let t = 0; t < n; t++) {
        const row = probs[b * length + t];
        const best = row.indexOf(Math.max(...row));
        counts[b][best]++;
        gates += row[best];
      }
    });
    const load = Array.from({ length: experts }, (_, e) => counts.reduce((sum, row) => sum + row[e], 0));
    expect(report.layer).toBe("encoder.1");
    expect(report.expertCounts.arraySync()).toEqual(counts);
    expectClose(
      report.load.dataSync(),
      load.map((value) => value / 14),
    );
    expectClose(report.meanGateProbability.dataSync(), [gates / 14]);
    const dropped = load.reduce((sum, value) => sum + Math.max(value - 2, 0), 0);
    expectClose(report.fractionDropped.dataSync(), [dropped / 14]);
  });

  it("has more room in evaluation than in training", () => {
    const all = inputs();
    const config: SwitchConfig = { ...base, capacity: { train: 0.5, evaluation: 3 } };
    const dropped = (training: boolean): number =>
      switchFeedForward(
        all.x,
        layerOf(all),
        tf.ones([batch, length]),
        config,
        training,
        noNoise,
      ).report.fractionDropped.dataSync()[0];
    expect(dropped(true)).toBeGreaterThan(0);
    expect(dropped(false)).toBe(0);
  });

  it("with a shared expert is the sum of the routed output and that of a dense layer", () => {
    const given = inputs();
    const real = tf.ones([batch, length]) as tf.Tensor2D;
    const [wi0, wi1] = [6, 7].map((seed) => random([hidden, width], seed));
    const apply = (x: tf.Tensor, own: tf.Tensor, sharedExpert?: FeedForwardWeights): tf.Tensor => {
      const layer = { ...layerOf({ ...given, wo: own }), sharedExpert };
      return switchFeedForward(x as tf.Tensor3D, layer, real, base, true, noNoise).y_BTD;
    };
    const sharedWith = (wo: tf.Tensor): FeedForwardWeights => ({ kind: "gated-gelu", wi0, wi1, wo });
    const wo = random([width, hidden], 8);
    const expected = tf.add(apply(given.x, given.wo), feedForward(given.x, sharedWith(wo)));
    expectClose(apply(given.x, given.wo, sharedWith(wo)).dataSync(), expected.dataSync());
    expectGradients((x, own, shared) => apply(x, own, sharedWith(shared)), [given.x, given.wo, wo]);
  });

  it("with two experts a token is the sum of both, each times its share of their probabilities", () => {
    const given = inputs();
    const config: SwitchConfig = { ...base, topK: 2, capacity: { absolute: batch * length } };
    const real = tf.ones([batch, length]) as tf.Tensor2D;
    const { y_BTD } = switchFeedForward(given.x, layerOf(given), real, config, true, noNoise);
    const x_ND = tf.reshape(given.x, [-1, width]);
    const probs = rowsOf(tf.softmax(tf.matMul(x_ND, given.router, false, true)));
    const outputs = Array.from({ length: experts }, (_, e) => {
      const own = (stack: tf.Tensor): tf.Tensor2D => tf.unstack(stack)[e] as tf.Tensor2D;
      const weights = { kind: "gated-gelu" as const, wi0: own(given.wi0), wi1: own(given.wi1), wo: own(given.wo) };
      return rowsOf(feedForward(x_ND as tf.Tensor, weights) as tf.Tensor);
    });
    const expected = probs.flatMap((row, n) => {
      const [first, second] = [...row.keys()].sort((a, b) => row[b] - row[a]);
      const sum = row[first] + row[second];
      return outputs[first][n].map((value, d) => (row[first] * value + row[second] * outputs[second][n][d]) / sum);
    });
    expectClose(y_BTD.dataSync(), expected);
    const layer = (x: tf.Tensor, router: tf.Tensor, wo: tf.Tensor) =>
      switchFeedForward(x as tf.Tensor3D, layerOf({ ...given, router, wo }), real, config, true, noNoise).y_BTD;
    expectGradients(layer, [given.x, given.router, given.wo]);
  });
});
