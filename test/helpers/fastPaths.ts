import { gemmKernels, setGemm, torchStatus, useAtenReference } from "@mswitch/tfjs-backend-torch";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../src/backends/loadBackend.js";
import { precision } from "../../src/ops/precision.js";
import { expectClose, random } from "./tensors.js";

const torch = torchStatus();

/** Whether tensors of `torch` lie in a GPU's memory: their values are then not looked at before a call. */
export const isOnGpu = torch.available && torch.info.cudaDevices > 0;

/** Tests on the torch backend; where its addon is not built, one skipped test that says why. */
export function describeTorch(name: string, tests: () => void): void {
  describe(name, () => {
    if (torch.available) {
      beforeAll(() => loadBackend("torch"));
      tests();
    } else it.skip(`torch: ${torch.reason}`, () => {});
  });
}

/** Kernels of matrix products that this CPU has, by type; none where the addon is not built. */
export const gemmNames = torch.available ? gemmKernels().available : { bfloat16: [], float32: [] };

/** Runs `body` with products by one of `gemmNames`, which `TFJS_TORCH_GEMM` is stronger than. */
export async function withGemm<T>(type: keyof typeof gemmNames, name: string, body: () => T): Promise<Awaited<T>> {
  const before = gemmKernels().chosen[type];
  setGemm(type, name);
  try {
    return await body();
  } finally {
    setGemm(type, before);
  }
}

/** Tests of an operation's fast path: with the kernels, and again with ATen's operations in their place, the kernels' own reference. */
export function describeFastPath(name: string, tests: () => void): void {
  describeTorch(name, tests);
  describeTorch(`${name}, by ATen's operations`, () => {
    let before = false;
    beforeAll(() => {
      before = useAtenReference(true);
    });
    afterAll(() => {
      useAtenReference(before);
    });
    tests();
  });
}

/**
 * float32: rounding in another order. bfloat16: 8 bits of mantissa, in inputs' gradients and values alike; logits of a few hundred pieces,
 * rounded once, and a weight's gradient added up in bfloat16 over 25 chunks are the worst of all.
 */
const tolerances = { float32: 2e-5, bfloat16: 3e-2 };

/**
 * Holds an operation's fast path to its reference on the torch backend: the value and the gradient of each input for one random dy,
 * relative to the largest expected value. In bfloat16 the inputs named in `bfloat16` are so, and the reference sees the same
 * rounded values in float32. Nothing may stay in memory.
 */
export function expectFast(
  fast: (...inputs: tf.Tensor[]) => tf.Tensor,
  reference: (...inputs: tf.Tensor[]) => tf.Tensor,
  inputs: tf.Tensor[],
  bfloat16: number[] | null = null,
): void {
  const tolerance = tolerances[bfloat16 ? "bfloat16" : "float32"];
  const before = tf.memory().numTensors;
  tf.tidy(() => {
    const given = inputs.map((x, i) => (bfloat16?.includes(i) ? precision(x, "bfloat16") : x));
    const rounded = given.map((x, i) => (bfloat16?.includes(i) ? precision(x, "float32") : x));
    const dy = random(tf.tidy(() => reference(...rounded)).shape, 99);
    const expected = tf.valueAndGrads(reference)(rounded, dy);
    const actual = tf.valueAndGrads(fast)(given, bfloat16 ? precision(dy, "bfloat16") : dy);
    expectClose(actual.value.dataSync(), expected.value.dataSync(), tolerance);
    for (const [i, gradient] of actual.grads.entries()) {
      expect(gradient.shape).toEqual(inputs[i].shape);
      expectClose(gradient.dataSync(), expected.grads[i].dataSync(), tolerance);
    }
  });
  expect(tf.memory().numTensors).toBe(before);
}
