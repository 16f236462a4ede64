import * as tf from "@tensorflow/tfjs-core";
import * as fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { expectClose, random } from "../../../test/helpers/tensors.js";
import { loadBackend } from "../loadBackend.js";

/** What `f` gives on the wasm backend, held to what it gives on cpu. */
async function expectAsOnCpu(f: () => tf.Tensor): Promise<void> {
  const run = async (backend: string): Promise<{ shape: number[]; dtype: string; values: ArrayLike<number> }> => {
    await tf.setBackend(backend);
    const before = tf.memory().numTensors;
    const out = tf.tidy(f);
    const values = await out.data();
    const { shape, dtype } = out;
    out.dispose();
    expect(tf.memory().numTensors).toBe(before);
    return { shape, dtype, values };
  };
  const expected = await run("cpu");
  const actual = await run("wasm");
  expect(actual.shape).toEqual(expected.shape);
  expect(actual.dtype).toBe(expected.dtype);
  expectClose(actual.values, expected.values);
}

beforeAll(async () => {
  await loadBackend("cpu");
  await loadBackend("wasm");
});

describe("wasm kernels agree with the cpu backend", () => {
  const size = fc.integer({ min: 1, max: 9 });

  it("BatchMatMul: any sizes, transposed or not, batches broadcast", async () => {
    const batches = fc.constantFrom<[number[], number[]]>(
      [[], []],
      [[3], [3]],
      [[3], [1]],
      [[1], [3]],
      [
        [2, 3],
        [2, 3],
      ],
      [
        [2, 3],
        [1, 1],
      ],
    );
    await fc.assert(
      fc.asyncProperty(batches, size, size, size, fc.boolean(), fc.boolean(), async ([a, b], m, k, n, ta, tb) => {
        const left = [...a, ...(ta ? [k, m] : [m, k])];
        const right = [...b, ...(tb ? [n, k] : [k, n])];
        await expectAsOnCpu(() =>
          tf
            .engine()
            .runKernel("BatchMatMul", { a: random(left, 1), b: random(right, 2) }, { transposeA: ta, transposeB: tb }),
        );
      }),
      { numRuns: 80, seed: 1 },
    );
  });

  it("Sum and Mean: any axes, kept or not", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(size, { minLength: 1, maxLength: 4 }),
        fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
        fc.boolean(),
        fc.boolean(),
        async (shape, chosen, keepDims, mean) => {
          const axes = shape.flatMap((_, axis) => (chosen[axis] ? [axis] : []));
          const x = (): tf.Tensor => tf.add(random(shape, 1), 3);
          await expectAsOnCpu(() => (mean ? tf.mean(x(), axes, keepDims) : tf.sum(x(), axes, keepDims)));
        },
      ),
      { numRuns: 80, seed: 1 },
    );
  });

  it("GatherV2: rows by indices of any shape, and what is not rows", async () => {
    const ids = (): tf.Tensor => tf.tensor2d([4, 0, 4, 1], [2, 2], "int32");
    await expectAsOnCpu(() => tf.gather(random([5, 2, 3], 1), ids()));
    await expectAsOnCpu(() => tf.gather(random([5], 1), ids()));
    await expectAsOnCpu(() => tf.gather(random([2, 5, 3], 1), ids(), 1));
    await expectAsOnCpu(() => tf.gather(random([2, 5, 3], 1), ids(), 1, 1));
    expect(() => tf.gather(random([4, 2], 1), ids())).toThrow();
  });

  it("UnsortedSegmentSum: repeated, missing and negative segments", async () => {
    const ids = (): tf.Tensor1D => tf.tensor1d([2, 0, 2, -1, 5], "int32");
    await expectAsOnCpu(() => tf.unsortedSegmentSum(random([5, 2, 3], 1), ids(), 6));
    await expectAsOnCpu(() => tf.unsortedSegmentSum(random([5], 1), ids(), 6));
  });
});

it("what the wasm backend keeps does not grow with use", async () => {
  await tf.setBackend("wasm");
  const backend = tf.backend() as unknown as { numDataIds(): number };
  const once = (): void => {
    tf.tidy(() => tf.sum(tf.matMul(random([4, 8, 16], 1), random([4, 32, 16], 2), false, true), 0)).dispose();
  };
  once();
  const before = backend.numDataIds();
  for (let i = 0; i < 20; i++) once();
  expect(backend.numDataIds()).toBe(before);
});
