import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { describeFastPath } from "../../../test/helpers/fastPaths.js";
import { expectClose, testBackends } from "../../../test/helpers/tensors.js";
import { loadBackend } from "../../backends/loadBackend.js";
import { router } from "./router.js";

/** What flaxformer's `TokensChooseMaskedRouter`, which T5X trains with, computed: test/golden/recordRouter.py. */
interface Case {
  selected: number;
  capacity: number;
  balance: number;
  x: number[][][];
  kernel: number[][];
  factors: number[][][];
  /** Of each token and expert, [G, S, E]. */
  weights: number[][][];
  place: number[][][];
  dx: number[][][];
  dkernel: number[][];
}
const cases = JSON.parse(
  readFileSync(new URL("../../../test/golden/t5xRouter.json", import.meta.url), "utf8"),
) as Case[];
const named = cases.map((one) => ({ ...one, name: `${one.selected} experts a token, capacity ${one.capacity}` }));

function agrees({ selected, capacity, balance, ...recorded }: Case): void {
  const [x, kernel, factors] = [recorded.x, recorded.kernel, recorded.factors].map((values) => tf.tensor(values));
  const [groups, size] = x.shape;
  const [width, experts] = kernel.shape;
  const tokens = groups * size;
  const options = {
    ...{ groups, capacity, topK: selected, renormalize: false, ignorePadding: true, sequences: groups },
  };
  const route = (inputs: tf.Tensor, weights: tf.Tensor) =>
    router(tf.reshape(inputs, [tokens, width]), tf.transpose(weights), tf.ones([tokens]) as tf.Tensor1D, options);
  const routing = route(x, kernel);
  const slot = routing.slot_NK.arraySync();
  // Expert and place of each choice that found one: a slot counts expert by expert, in them group by group.
  const place = Array.from({ length: tokens }, () => Array<number>(experts).fill(-1));
  const kept: [choice: number, at: number][] = [];
  for (const [n, choices] of slot.entries()) {
    for (const [k, at] of choices.entries()) {
      if (at >= routing.slots) continue;
      const expert = Math.floor(at / (groups * capacity));
      expect(Math.floor(at / capacity) % groups).toBe(Math.floor(n / size));
      place[n][expert] = at % capacity;
      kept.push([n * selected + k, n * experts + expert]);
    }
  }
  expect(place).toEqual(recorded.place.flat());
  const chosen = tf.buffer([tokens * selected, tokens * experts]);
  for (const [choice, at] of kept) chosen.set(1, choice, at);
  /** Gates at the experts that they belong to, [1, N·E]. */
  const weightsOf = (gate_NK: tf.Tensor): tf.Tensor =>
    tf.matMul(tf.reshape(gate_NK, [1, tokens * selected]), chosen.toTensor() as tf.Tensor2D);
  expectClose(weightsOf(routing.gate_NK).dataSync(), recorded.weights.flat(2));
  expectClose(routing.balance.dataSync(), [balance]);
  const objective = (inputs: tf.Tensor, weights: tf.Tensor): tf.Scalar => {
    const { gate_NK, balance: loss } = route(inputs, weights);
    return tf.add(tf.sum(tf.mul(weightsOf(gate_NK), tf.reshape(factors, [1, -1]))), loss);
  };
  const [dx, dkernel] = tf.grads(objective)([x, kernel]);
  expectClose(dx.dataSync(), recorded.dx.flat(2));
  expectClose(dkernel.dataSync(), recorded.dkernel.flat());
}

describe.each(testBackends)("places, weights, balance and gradients are T5X's on %s", (backend) => {
  beforeAll(() => loadBackend(backend));
  it.each(named)("$name", agrees);
});

describeFastPath("places, weights, balance and gradients are T5X's", () => {
  it.each(named)("$name", agrees);
});
