import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, test } from "vitest";
import { precision, setTorchThreads, torchStatus } from "../src/register.js";
import type { TorchMemory } from "../src/torchBackend.js";

const memory = (): ReturnType<typeof tf.memory> & TorchMemory =>
  tf.memory() as ReturnType<typeof tf.memory> & TorchMemory;

beforeAll(async () => {
  // TensorFlow.js publishes its gradients in a form that Node does not load.
  tf.registerGradient({
    kernelName: "Multiply",
    inputsToSave: ["a", "b"],
    gradFunc: (dy, saved) => ({
      a: () => tf.mul(dy as tf.Tensor, saved[1]!),
      b: () => tf.mul(dy as tf.Tensor, saved[0]!),
    }),
  });
  tf.env().set("PROD", true);
  await tf.setBackend("torch:cpu");
  setTorchThreads(1);
});

test("the addon says what it found", () => {
  expect(torchStatus()).toMatchObject({
    available: true,
    info: { torchVersion: expect.stringMatching(/^2\./), threads: 1 },
  });
});

describe("devices", () => {
  test("torch takes the best there is", async () => {
    expect(await tf.setBackend("torch")).toBe(true);
    await tf.setBackend("torch:cpu");
  });

  test("a device that is not there cannot be set", async () => {
    expect(await tf.setBackend("torch:cuda:7")).toBe(false);
    await tf.setBackend("torch:cpu");
  });

  test("tensors move from and to other backends, as every dtype", async () => {
    const tensors = [
      tf.tensor([1.5, -2]),
      tf.tensor([3, -4], undefined, "int32"),
      tf.tensor([true, false]),
      tf.tensor(["ä", "b"]),
      tf.complex([1, 2], [3, 4]),
    ];
    const before = await Promise.all(tensors.map((x) => x.data()));
    const rows = tensors.map((x) => tf.reshape(x, [2, 1]));
    await tf.setBackend("cpu");
    const there = rows.slice(0, 4).map((x) => tf.concat([x, x], 1));
    expect(await there[2]!.data()).toEqual(Uint8Array.of(1, 1, 0, 0));
    await tf.setBackend("torch:cpu");
    const back = there.map((x) => tf.reshape(tf.slice(x, [0, 1], [2, 1]), [2]));
    expect(await Promise.all(back.map((x) => x.data()))).toEqual(before.slice(0, 4));
    tf.dispose([tensors, rows, there, back]);
  });
});

describe("errors", () => {
  test("carry the kernel, dtypes and shapes, and leave nothing behind", () => {
    const start = memory();
    const a = tf.zeros([2, 3]);
    const b = tf.zeros([4, 5], "int32");
    expect(() => tf.engine().runKernel("BatchMatMul", { a, b }, { transposeA: false, transposeB: false })).toThrow(
      /BatchMatMul\(a: float32\[2,3\], b: int32\[4,5\]\): /,
    );
    const indices = tf.tensor1d([5], "int32");
    expect(() => tf.gather(a, indices)).toThrow(/the index value 5 is not in \[0, 1\]/);
    tf.dispose([a, b, indices]);
    expect(memory()).toEqual(start);
  });
});

describe("memory", () => {
  test("counts go back to where they were", () => {
    const start = memory();
    tf.tidy(() => {
      const x = tf.randomNormal([4, 6]);
      const y = tf.slice(tf.reshape(tf.transpose(x), [3, 8]), [0, 1], [3, 2]);
      expect(memory().torchTensors).toBeGreaterThan(start.torchTensors);
      const loss = (z: tf.Tensor): tf.Tensor => tf.mul(precision(z, "bfloat16"), tf.max(y));
      return tf.sum(tf.grad(loss)(tf.ones([5, 2]))).dataSync();
    });
    const end = memory();
    expect(end).toEqual(start);
  });

  test("a reshape shares data, and outlives the tensor it came from", () => {
    const x = tf.tensor([1, 2, 3, 4, 5, 6], [2, 3]);
    const before = memory().numDataBuffers;
    const y = tf.reshape(x, [3, 2]);
    expect(memory().numDataBuffers).toBe(before);
    x.dispose();
    expect(Array.from(tf.transpose(y).dataSync())).toEqual([1, 3, 5, 2, 4, 6]);
    y.dispose();
  });

  test("a tensor that lies transposed reads and reshapes in its logical order", () => {
    tf.tidy(() => {
      const t = tf.transpose(tf.tensor([1, 2, 3, 4, 5, 6], [2, 3]));
      expect(Array.from(t.dataSync())).toEqual([1, 4, 2, 5, 3, 6]);
      expect(Array.from(tf.reshape(t, [6]).dataSync())).toEqual([1, 4, 2, 5, 3, 6]);
    });
  });

  test("a call with more inputs and results than the buffers hold", () => {
    tf.tidy(() => {
      const parts = tf.unstack(tf.reshape(tf.range(0, 6000), [3000, 2]));
      expect(parts.length).toBe(3000);
      const whole = tf.concat(parts);
      expect(tf.sum(whole).dataSync()[0]).toBe((6000 * 5999) / 2);
    });
  });
});

describe("dtypes", () => {
  test("int32 wraps, floors and never raises on zero", () => {
    tf.tidy(() => {
      const big = tf.scalar(2 ** 31 - 1, "int32");
      expect(tf.add(big, tf.scalar(1, "int32")).dataSync()[0]).toBe(-(2 ** 31));
      const quotient = tf.floorDiv(tf.tensor1d([7, -7, 7], "int32"), tf.tensor1d([2, 2, 0], "int32"));
      expect(quotient.dtype).toBe("int32");
      expect(Array.from(quotient.dataSync()).slice(0, 2)).toEqual([3, -4]);
    });
  });

  test("bool stays 0 and 1, whatever bytes come in", () => {
    tf.tidy(() => {
      const x = tf.tensor(Uint8Array.of(0, 1, 7), [3], "bool");
      expect(Array.from(x.dataSync())).toEqual([0, 1, 1]);
      expect(tf.logicalNot(x).dtype).toBe("bool");
      expect(tf.sum(x).dtype).toBe("int32");
    });
  });
});

describe("precision", () => {
  test("bfloat16 halves the bytes, keeps the dtype and rounds to 8 bits", () => {
    tf.tidy(() => {
      const x = tf.tensor1d([1, 1.00390625, Math.PI]);
      const before = memory().torchBytes;
      const rounded = precision(x, "bfloat16");
      expect(memory().torchBytes - before).toBe(6);
      expect(rounded.dtype).toBe("float32");
      expect(Array.from(rounded.dataSync())).toEqual([1, 1, 3.140625]);
      expect(memory().torchBytes).toBe(before + 6);
    });
  });

  test("a product with one bfloat16 operand is bfloat16, a sum is float32", () => {
    tf.tidy(() => {
      const x = precision(tf.fill([2, 2], 1.5), "bfloat16");
      const w = tf.fill([2, 2], 1 / 3);
      const before = memory().torchBytes;
      tf.matMul(x, w);
      expect(memory().torchBytes - before).toBe(4 * 2);
      tf.add(x, w);
      expect(memory().torchBytes - before).toBe(4 * 2 + 4 * 4);
    });
  });

  test("the gradient passes through", () => {
    const g = tf.grad((x: tf.Tensor) => tf.mul(precision(x, "bfloat16"), 3))(tf.ones([2]));
    expect(Array.from(g.dataSync())).toEqual([3, 3]);
    g.dispose();
  });
});
