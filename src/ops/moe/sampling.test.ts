import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { expectClose, expectGradients, random, rowsOf, testBackends } from "../../../test/helpers/tensors.js";
import { loadBackend } from "../../backends/loadBackend.js";
import { type RouterOptions, router } from "./router.js";

const experts = 4;

function optionsOf(tokens: number, step: number, topK = 1): RouterOptions {
  const sample = { seed: 5, place: "sample encoder.1", step: tf.tensor1d([step], "int32") };
  return { groups: 1, capacity: tokens, ignorePadding: true, sequences: 1, topK, sample };
}

describe.each(testBackends)("a router that samples on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  it("draws each expert as often as its probability says", () => {
    const tokens = 6000;
    const x = tf.ones([tokens, 1]) as tf.Tensor2D;
    const weight = tf.tensor2d([[0], [1], [-1], [0.5]]);
    const probs = [...tf.softmax(tf.tensor1d([0, 1, -1, 0.5])).dataSync()];
    const { load_E } = router(x, weight, tf.ones([tokens]) as tf.Tensor1D, optionsOf(tokens, 1));
    for (const [e, share] of [...load_E.dataSync()].entries()) {
      expect(Math.abs(share - probs[e])).toBeLessThan(4 * Math.sqrt((probs[e] * (1 - probs[e])) / tokens));
    }
  });

  it("gates by the probability of the expert that was drawn, anew with every step", () => {
    const tokens = 40;
    const x = random([tokens, 3], 1) as tf.Tensor2D;
    const weight = random([experts, 3], 2);
    const probs = rowsOf(tf.softmax(tf.matMul(x, weight, false, true)));
    const draw = (step: number) => router(x, weight, tf.ones([tokens]) as tf.Tensor1D, optionsOf(tokens, step));
    const slots = rowsOf(draw(1).slot_NK);
    expectClose(
      draw(1).gate_NK.dataSync(),
      slots.map(([slot], n) => probs[n][Math.floor(slot / tokens)]),
    );
    expect(rowsOf(draw(1).slot_NK)).toEqual(slots);
    expect(rowsOf(draw(2).slot_NK)).not.toEqual(slots);
  });

  it("never draws an expert twice for one token", () => {
    const tokens = 200;
    const weight = random([experts, 3], 2);
    const { slot_NK } = router(
      random([tokens, 3], 1) as tf.Tensor2D,
      weight,
      tf.ones([tokens]) as tf.Tensor1D,
      optionsOf(tokens, 3, experts),
    );
    for (const slots of rowsOf(slot_NK)) {
      expect(slots.map((slot) => Math.floor(slot / tokens)).sort()).toEqual([0, 1, 2, 3]);
    }
  });

  it("has the right gradients", () => {
    const inputs = [random([12, 3], 1), random([experts, 3], 2)];
    const routing = (x: tf.Tensor, weight: tf.Tensor) =>
      router(x as tf.Tensor2D, weight, tf.ones([12]) as tf.Tensor1D, optionsOf(12, 4));
    expectGradients((x, weight) => routing(x, weight).gate_NK, inputs);
    expectGradients((x, weight) => routing(x, weight).balance, inputs);
  });
});
