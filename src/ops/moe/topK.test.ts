import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { describeFastPath } from "../../../test/helpers/fastPaths.js";
import { expectClose, expectGradients, random, rowsOf, testBackends } from "../../../test/helpers/tensors.js";
import { loadBackend } from "../../backends/loadBackend.js";
import { type RouterOptions, router } from "./router.js";

const [tokens, experts, width] = [12, 5, 4];
const real = [1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1];

interface Expected {
  gate: number[][];
  slot: number[][];
  balance: number;
}

/**
 * Top-k routing one token at a time, by the equations of T5X's `TokensChooseScatterRouter` (raw gates; all first choices before all
 * second ones; each choice counts in f) and of Mesh TensorFlow's top-2 gating (gates over their sum).
 */
function plain(probs: number[][], k: number, groups: number, capacity: number, renormalize: boolean): Expected {
  const size = tokens / groups;
  const none = experts * groups * capacity;
  const gate = probs.map(() => Array<number>(k).fill(0));
  const slot = probs.map(() => Array<number>(k).fill(none));
  let balance = 0;
  for (let g = 0; g < groups; g++) {
    const members = Array.from({ length: size }, (_, i) => g * size + i).filter((n) => real[n] === 1);
    const ranked = new Map(
      members.map((n) => [n, [...probs[n].keys()].sort((a, b) => probs[n][b] - probs[n][a]).slice(0, k)]),
    );
    const taken = Array<number>(experts).fill(0);
    for (let choice = 0; choice < k; choice++) {
      for (const n of members) {
        const e = ranked.get(n)![choice];
        const sum = renormalize ? ranked.get(n)!.reduce((total, other) => total + probs[n][other], 0) : 1;
        gate[n][choice] = probs[n][e] / sum;
        const place = taken[e]++;
        if (place < capacity) slot[n][choice] = e * groups * capacity + g * capacity + place;
      }
    }
    for (let e = 0; e < experts; e++) {
      const meanProbability = members.reduce((sum, n) => sum + probs[n][e], 0) / members.length;
      balance += ((experts / groups) * taken[e] * meanProbability) / members.length;
    }
  }
  return { gate, slot, balance };
}

const cases: [number, boolean, number, number][] = [
  [2, true, 1, 3],
  [2, true, 2, 2],
  [2, false, 2, 2],
  [3, true, 3, 4],
];
const optionsOf = ([topK, renormalize, groups, capacity]: (typeof cases)[number]): RouterOptions => {
  return { topK, renormalize, groups, capacity, ignorePadding: true, sequences: 2 };
};

function agrees(which: (typeof cases)[number]): void {
  const [k, renormalize, groups, capacity] = which;
  const x = random([tokens, width], 1) as tf.Tensor2D;
  const weight = random([experts, width], 2);
  const routing = router(x, weight, tf.tensor1d(real), optionsOf(which));
  const probs = rowsOf(tf.softmax(tf.matMul(x, weight, false, true)));
  const expected = plain(probs, k, groups, capacity, renormalize);
  expect(routing.slot_NK.arraySync()).toEqual(expected.slot);
  expectClose(routing.gate_NK.dataSync(), expected.gate.flat());
  expectClose(routing.balance.dataSync(), [expected.balance]);
  const choices = k * real.filter((r) => r === 1).length;
  const kept = expected.slot.flat().filter((slot) => slot < routing.slots);
  expectClose(routing.fractionDropped.dataSync(), [1 - kept.length / choices]);
  expectClose([tf.sum(routing.load_E).dataSync()[0]], [1]);
  expect(tf.sum(routing.expertCounts_BE).dataSync()[0]).toBe(choices);
  // The occupied slots of an expert's group are its first ones.
  const used = new Set(kept);
  const occupied = routing.occupied_EG!.arraySync();
  for (let slot = 0; slot < routing.slots; slot++) {
    const [e, g] = [Math.floor(slot / (groups * capacity)), Math.floor(slot / capacity) % groups];
    expect(used.has(slot)).toBe(slot % capacity < occupied[e][g]);
  }
}

describe.each(testBackends)("a router of several experts a token on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  it.each(cases)(
    "agrees with a token-by-token router: %j experts, renormalised %j, %j groups of capacity %j",
    (...which) => agrees(which),
  );

  it.each(cases)("has the right gradients: %j experts, renormalised %j, %j groups of capacity %j", (...which) => {
    const inputs = [random([tokens, width], 1), random([experts, width], 2)];
    const routing = (x: tf.Tensor, weight: tf.Tensor) =>
      router(x as tf.Tensor2D, weight, tf.tensor1d(real), optionsOf(which));
    expectGradients((x, weight) => routing(x, weight).gate_NK, inputs);
    expectGradients((x, weight) => routing(x, weight).balance, inputs);
  });

  it("a frozen router has no gradient, what it routes has", () => {
    const options = { ...optionsOf(cases[0]), frozen: true };
    // Weighted by choice: a token's gates add up to 1, whose gradient is 0.
    const gate = (x: tf.Tensor, weight: tf.Tensor) =>
      tf.mul(router(x as tf.Tensor2D, weight, tf.tensor1d(real), options).gate_NK, tf.range(1, options.topK! + 1));
    const [dx, dWeight] = tf.grads(gate)([random([tokens, width], 1), random([experts, width], 2)]);
    expect(tf.max(tf.abs(dWeight)).dataSync()[0]).toBe(0);
    expect(tf.max(tf.abs(dx)).dataSync()[0]).toBeGreaterThan(1e-3);
  });
});

/** Balance over all tokens, from the load of these or of more. */
function balanceOfAll(topK: number): void {
  const x = random([tokens, width], 1) as tf.Tensor2D;
  const weight = random([experts, width], 2);
  const options = { groups: 3, capacity: 4, ignorePadding: true, sequences: 2, topK, balance: "batch" as const };
  const one = router(x, weight, tf.tensor1d(real), { ...options, groups: 1, balance: "group" });
  expectClose(router(x, weight, tf.tensor1d(real), options).balance.dataSync(), one.balance.dataSync());
  const inputs = [x, weight] as tf.Tensor[];
  const gradients = (given: RouterOptions) =>
    tf.grads((a, b) => router(a as tf.Tensor2D, b, tf.tensor1d(real), given).balance)(inputs);
  for (const [i, gradient] of gradients(options).entries()) {
    expectClose(gradient.dataSync(), gradients({ ...options, groups: 1, balance: "group" })[i].dataSync());
  }
  const globalLoad_E = tf.tensor1d([0.6, 0.1, 0.1, 0.1, 0.1]);
  const probs = tf.softmax(tf.matMul(x, weight, false, true)).arraySync() as number[][];
  const routed = real.filter((r) => r === 1).length;
  const expected = globalLoad_E.arraySync().reduce((sum, f, e) => {
    return sum + (experts * topK * f * probs.reduce((total, row, n) => total + real[n] * row[e], 0)) / routed;
  }, 0);
  expectClose(router(x, weight, tf.tensor1d(real), { ...options, globalLoad_E }).balance.dataSync(), [expected]);
}

describe("balance over all tokens", () => {
  beforeAll(() => loadBackend("cpu"));
  it.each([1, 2])("is that of one group, %j experts a token", balanceOfAll);
});

describeFastPath("a single expert", () => {
  it("its router has no gradient, not even of rounding", () => {
    const options: RouterOptions = { groups: 1, capacity: 8000, ignorePadding: true, sequences: 1 };
    const loss = (x: tf.Tensor, weight: tf.Tensor) => {
      const { gate_NK, balance } = router(x as tf.Tensor2D, weight, tf.ones([8000]), options);
      return tf.add(tf.sum(gate_NK), tf.mul(balance, 0.01));
    };
    const [, dWeight] = tf.grads(loss)([random([8000, 64], 1), random([1, 64], 2)]);
    expect(tf.max(tf.abs(dWeight)).dataSync()[0]).toBe(0);
  });
});

describeFastPath("several experts a token", () => {
  it.each(cases)(
    "agrees with a token-by-token router: %j experts, renormalised %j, %j groups of capacity %j",
    (...which) => agrees(which),
  );
  it.each([1, 2])("balance over all tokens is that of one group, %j experts a token", balanceOfAll);
});
