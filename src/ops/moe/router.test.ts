import * as tf from "@tensorflow/tfjs-core";
import * as fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { describeFastPath, expectFast } from "../../../test/helpers/fastPaths.js";
import { expectClose, expectGradients, random, rowsOf, testBackends } from "../../../test/helpers/tensors.js";
import { loadBackend } from "../../backends/loadBackend.js";
import { precision } from "../precision.js";
import { expertCapacity, type Routing, routeReference, router } from "./router.js";

const [tokens, experts, width] = [12, 3, 4];

function softmax(row: number[]): number[] {
  const exps = row.map(Math.exp);
  const sum = exps.reduce((a, b) => a + b, 0);
  return exps.map((value) => value / sum);
}

/** The router one token at a time, in plain JavaScript. */
function bruteForce(logits: number[][], real: number[], groups: number, capacity: number, ignorePadding: boolean) {
  const size = logits.length / groups;
  const slots = experts * groups * capacity;
  const out = { gate: [] as number[], slot: [] as number[], balance: 0, z: 0 };
  let routed = 0;
  for (let group = 0; group < groups; group++) {
    const taken = Array(experts).fill(0);
    const chosen = Array(experts).fill(0);
    const probability = Array(experts).fill(0);
    let count = 0;
    for (let n = group * size; n < (group + 1) * size; n++) {
      const isRouted = !ignorePadding || real[n] === 1;
      const probs = softmax(logits[n]);
      const best = probs.indexOf(Math.max(...probs));
      out.gate.push(isRouted ? probs[best] : 0);
      const place = isRouted ? taken[best]++ : capacity;
      out.slot.push(place < capacity ? best * groups * capacity + group * capacity + place : slots);
      if (!isRouted) continue;
      count++;
      chosen[best]++;
      for (let e = 0; e < experts; e++) probability[e] += probs[e];
      out.z += Math.log(logits[n].reduce((sum, l) => sum + Math.exp(l), 0)) ** 2;
    }
    routed += count;
    for (let e = 0; e < experts && count > 0; e++) {
      out.balance += ((experts / groups) * (chosen[e] / count) * probability[e]) / count;
    }
  }
  return { ...out, z: out.z / Math.max(routed, 1), slots };
}

describe("expertCapacity", () => {
  it("is max(floor(factor · tokens / experts), 4), and no more than the tokens", () => {
    expect(expertCapacity(512, 8, 1.25)).toBe(80);
    expect(expertCapacity(114, 8, 1.25)).toBe(17);
    expect(expertCapacity(64, 32, 1.25)).toBe(4);
    expect(expertCapacity(3, 2, 1.25)).toBe(3);
  });
});

describe.each(testBackends)("router on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  it("agrees with a token-by-token router, whatever overflows and whatever is padding", () => {
    const property = fc.property(
      fc.integer(),
      fc.constantFrom(1, 2, 3, 4),
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.constantFrom(0, 1), { minLength: tokens, maxLength: tokens }),
      fc.boolean(),
      (seed, groups, capacity, real, ignorePadding) => {
        tf.tidy(() => {
          const x = random([tokens, width], seed) as tf.Tensor2D;
          const weight = random([experts, width], seed + 1);
          const options = { groups, capacity, ignorePadding, sequences: 2 };
          const routing = router(x, weight, tf.tensor1d(real), options);
          const logits = rowsOf(tf.matMul(x, weight, false, true));
          const expected = bruteForce(logits, real, groups, capacity, ignorePadding);
          expect(routing.slots).toBe(expected.slots);
          expect([...routing.slot_NK.dataSync()]).toEqual(expected.slot);
          expectClose(routing.gate_NK.dataSync(), expected.gate);
          expectClose(routing.balance.dataSync(), [expected.balance]);
          expectClose(routing.z().dataSync(), [expected.z]);
          const routed = Math.max(real.filter((r) => !ignorePadding || r === 1).length, 1);
          const kept = expected.slot.filter((slot) => slot < expected.slots).length;
          expectClose(routing.fractionDropped.dataSync(), [1 - kept / routed]);
          expectClose(routing.meanGateProbability.dataSync(), [
            expected.gate.reduce((sum, gate) => sum + gate, 0) / routed,
          ]);
        });
      },
    );
    fc.assert(property, { numRuns: 60, seed: 1 });
  });

  it("serves first come first: tokens beyond an expert's capacity are left out in token order", () => {
    const x = tf.ones([6, 1]) as tf.Tensor2D;
    const { slot_NK } = router(x, tf.tensor2d([[1], [0]]), tf.ones([6]), {
      groups: 2,
      capacity: 2,
      ignorePadding: false,
      sequences: 1,
    });
    expect([...slot_NK.dataSync()]).toEqual([0, 1, 8, 2, 3, 8]);
  });

  it("a balance loss of 1 is perfect balance, of N collapse", () => {
    const options = { groups: 1, capacity: 4, ignorePadding: true, sequences: 1 };
    const even = tf.tensor2d([
      [9, 0],
      [0, 9],
      [9, 0],
      [0, 9],
    ]);
    const weight = tf.tensor2d([
      [9, 0],
      [0, 9],
    ]);
    expectClose(router(even, weight, tf.ones([4]), options).balance.dataSync(), [1]);
    const collapsed = tf.tensor2d([
      [9, 0],
      [9, 0],
      [9, 0],
      [9, 0],
    ]);
    expectClose(router(collapsed, weight, tf.ones([4]), options).balance.dataSync(), [2]);
  });

  it("has the right gradients through gate, balance and z-loss, none through the choice", () => {
    const real = tf.tensor1d([1, 1, 1, 1, 1, 0, 1, 1, 1, 0, 0, 1]);
    const routing = (x: tf.Tensor, weight: tf.Tensor) =>
      router(x as tf.Tensor2D, weight, real, { groups: 2, capacity: 2, ignorePadding: true, sequences: 1 });
    const inputs = [random([tokens, width], 1), random([experts, width], 2)];
    expectGradients((x, weight) => routing(x, weight).gate_NK, inputs);
    expectGradients((x, weight) => routing(x, weight).balance, inputs);
    expectGradients((x, weight) => routing(x, weight).z(), inputs);
  });
});

describeFastPath("the router's fast path", () => {
  const real = (): tf.Tensor1D => tf.tensor1d(Array.from({ length: 48 }, (_, n) => (n % 5 === 3 || n > 40 ? 0 : 1)));
  const cases = [
    { groups: 1, capacity: 6, ignorePadding: true, sequences: 4 },
    { groups: 4, capacity: 2, ignorePadding: false, sequences: 2 },
    { groups: 3, capacity: 16, ignorePadding: true, sequences: 1 },
  ];
  /** The router on logits given as they are. */
  const route = (logits: tf.Tensor, options: (typeof cases)[0]): Routing =>
    router(logits as tf.Tensor2D, tf.eye(logits.shape[1]!), real(), options);
  const carried = ({ gate_NK, balance, z }: Routing): tf.Tensor =>
    tf.add(gate_NK, tf.add(tf.mul(balance, 3), tf.mul(z(), 0.1)));

  it.each(cases)("is the reference with %o", (options) => {
    for (const experts of [1, 7, 128]) {
      const logits = random([48, experts], experts) as tf.Tensor2D;
      const fast = route(logits, options);
      const reference = routeReference(logits, real(), options);
      expect(fast.slots).toBe(reference.slots);
      expect(fast.slot_NK.dtype).toBe("int32");
      expect([...fast.slot_NK.dataSync()]).toEqual([...reference.slot_NK.dataSync()]);
      for (const name of ["load_E", "fractionDropped", "meanGateProbability", "expertCounts_BE"] as const) {
        expectClose(fast[name].dataSync(), reference[name].dataSync());
        expect(fast[name].shape).toEqual(reference[name].shape);
      }
      // Slots in use are the first ones of each group.
      const used = new Set(fast.slot_NK.dataSync());
      used.delete(fast.slots);
      const counts = fast.occupied_EG!.dataSync();
      const first = [...counts].flatMap((n, i) => Array.from({ length: n }, (_, slot) => i * options.capacity + slot));
      expect([...used].sort((a, b) => a - b)).toEqual(first);
      expectFast(
        (x) => carried(route(x, options)),
        (x) => carried(routeReference(x as tf.Tensor2D, real(), options)),
        [logits],
      );
    }
  });

  it("computes in float32 whatever its input's width, and in bfloat16 where told to", () => {
    const x = precision(random([48, 16], 1) as tf.Tensor2D, "bfloat16");
    const weight = random([7, 16], 2);
    const float32 = router(precision(x, "float32"), weight, real(), cases[0]).gate_NK.dataSync();
    expect([...router(x, weight, real(), cases[0]).gate_NK.dataSync()]).toEqual([...float32]);
    const bfloat16 = router(x, weight, real(), { ...cases[0], dtype: "bfloat16" }).gate_NK.dataSync();
    const bits = new Uint32Array(new Float32Array(bfloat16).buffer);
    expect([...bits].every((word) => (word & 0xffff) === 0)).toBe(true);
    expectClose(bfloat16, float32, 2e-2);
  });
});
