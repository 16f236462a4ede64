// Matrix products by each of the kernels of native/cpu/gemm/choice.h, as far as this CPU has them: vitest.config.ts runs this file once for
// each, with TFJS_TORCH_GEMM.
import * as tf from "@tensorflow/tfjs-core";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { precision, setTorchThreads, torchStatus } from "../src/register.js";

beforeAll(async () => {
  tf.env().set("PROD", true);
  await tf.setBackend("torch:cpu");
});
beforeEach(() => tf.engine().startScope());
afterEach(() => tf.engine().endScope());

/** Rounded to bfloat16, in float32. */
const rounded = (x: tf.Tensor2D): tf.Tensor2D => precision(precision(x, "bfloat16"), "float32");
const normal = (rows: number, columns: number, seed: number): tf.Tensor2D =>
  rounded(tf.randomNormal([rows, columns], 0, 1, "float32", seed));

const bfloat16Product = (a: tf.Tensor2D, b: tf.Tensor2D, transposeA = false, transposeB = false): tf.Tensor2D =>
  precision(
    tf.matMul(precision(a, "bfloat16"), precision(b, "bfloat16"), transposeA, transposeB) as tf.Tensor2D,
    "float32",
  );

/** The product in double precision. */
function exactProduct(a: tf.Tensor2D, b: tf.Tensor2D, transposeA: boolean, transposeB: boolean): tf.Tensor2D {
  const [x, y] = [a.dataSync(), b.dataSync()];
  const [m, k] = transposeA ? [a.shape[1], a.shape[0]] : a.shape;
  const n = transposeB ? b.shape[0] : b.shape[1];
  const [xRow, xTerm] = transposeA ? [1, m] : [k, 1];
  const [yTerm, yColumn] = transposeB ? [1, k] : [n, 1];
  const out = new Float32Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let t = 0; t < k; t++) sum += x[i * xRow + t * xTerm]! * y[t * yTerm + j * yColumn]!;
      out[i * n + j] = sum;
    }
  }
  return tf.tensor2d(out, [m, n]);
}

/** ‖y − want‖ / ‖want‖ */
const relativeError = (y: tf.Tensor, want: tf.Tensor): number =>
  tf.div(tf.norm(tf.sub(y, want)), tf.norm(want)).dataSync()[0]!;

// Rounding the result to bfloat16 alone is 0.0017.
const TOLERANCE = 0.0025;
// 2,500 terms in float32.
const FLOAT32_TOLERANCE = 5e-6;

test("kernels that are asked for are taken where the CPU has them", () => {
  const status = torchStatus();
  if (!status.available) throw new Error(status.reason);
  const { bfloat16, float32 } = status.info.gemm;
  const asked = process.env.TFJS_TORCH_GEMM ?? "";
  for (const always of ["library", "float32"]) {
    if (asked.includes(`bfloat16:${always}`)) expect(bfloat16).toBe(always);
  }
  if (asked.includes("float32:library")) expect(float32).toBe("library");
  expect(["library", "avx512"]).toContain(float32);
});

const SHAPES = [
  [96, 128, 256],
  [13, 70, 45], // no side is a multiple of anything
  [1, 300, 64],
  [700, 1, 40],
  [25, 130, 1500], // terms in parts
  [25, 130, 2500], // terms in pieces, each with sums of its own
  [64, 96, 4128],
  [600, 40, 33], // the first operand is the larger one
  [75, 40, 64], // its rows are read where they lie, the last few copied
  [3 * 32 + 1, 20, 96],
  [640, 40, 64], // rows that are read where they lie
  [72, 33, 96],
  [5, 900, 96],
  [14, 900, 96],
] as const;

describe.each(SHAPES)("%i by %i of %i terms", (m, n, k) => {
  test.each([
    [false, false],
    [true, false],
    [false, true],
    [true, true],
  ])("transposed: %s, %s", (transposeA, transposeB) => {
    const a = transposeA ? normal(k, m, 1) : normal(m, k, 1);
    const b = transposeB ? normal(n, k, 2) : normal(k, n, 2);
    const want = exactProduct(a, b, transposeA, transposeB);
    expect(relativeError(bfloat16Product(a, b, transposeA, transposeB), want)).toBeLessThan(TOLERANCE);
    expect(relativeError(tf.matMul(a, b, transposeA, transposeB), want)).toBeLessThan(FLOAT32_TOLERANCE);
  });
});

test.each([
  [[2], false, false],
  [[2, 3], true, false],
  [[7], false, true],
])("matrices in batches of %j, transposed: %s, %s", (batch, transposeA, transposeB) => {
  const [m, n, k] = [40, 50, 64];
  const count = batch.reduce((product, length) => product * length, 1);
  const matrices = (rows: number, columns: number, seed: number): tf.Tensor =>
    tf.reshape(normal(count * rows, columns, seed), [...batch, rows, columns]);
  const a = transposeA ? matrices(k, m, 20) : matrices(m, k, 20);
  const b = transposeB ? matrices(n, k, 21) : matrices(k, n, 21);
  const y = tf.matMul(precision(a, "bfloat16"), precision(b, "bfloat16"), transposeA, transposeB);
  expect(relativeError(precision(y, "float32"), tf.matMul(a, b, transposeA, transposeB))).toBeLessThan(TOLERANCE);
});

test("large and small magnitudes keep their digits", () => {
  const a = normal(64, 512, 3);
  const b = normal(512, 128, 4);
  const want = tf.matMul(a, b);
  for (const [first, second] of [
    [2 ** 100, 2 ** -100],
    [2 ** -110, 2 ** 100],
    [2 ** 123, 2 ** -20],
    [1, 2 ** -60],
  ] as const) {
    const y = bfloat16Product(tf.mul(a, first) as tf.Tensor2D, tf.mul(b, second) as tf.Tensor2D);
    expect(relativeError(tf.div(y, first * second), want)).toBeLessThan(TOLERANCE);
  }
});

test("values that all have one sign add up", () => {
  const a = tf.ones([32, 1000]) as tf.Tensor2D;
  const y = bfloat16Product(a, tf.fill([1000, 64], 3) as tf.Tensor2D).dataSync();
  // 3,000 rounded to bfloat16.
  expect(new Set(y)).toEqual(new Set([3008]));
  // The largest value of a binade: nothing that is scaled to a range lies nearer to its end. Equal terms round the same way each time,
  // which is half precision's worst case: 0.004, and as much again for the result in bfloat16.
  const largest = 255 / 128;
  const x = bfloat16Product(tf.fill([32, 1024], largest) as tf.Tensor2D, tf.fill([1024, 256], -largest) as tf.Tensor2D);
  const want = tf.fill([32, 256], -1024 * largest ** 2);
  expect(relativeError(x, want)).toBeLessThan(0.008);
});

test("an infinity times positive numbers is infinity", () => {
  const a = tf.tensor2d(
    Array.from({ length: 24 * 64 }, (_, i) => (i === 5 * 64 + 9 ? Number.NEGATIVE_INFINITY : 1)),
    [24, 64],
  );
  const y = bfloat16Product(a, tf.ones([64, 128])).arraySync();
  expect(y.map((row) => new Set(row))).toEqual(y.map((_, i) => new Set([i === 5 ? Number.NEGATIVE_INFINITY : 64])));
});

test("rows of very different sizes do not spoil each other", () => {
  const size = tf.tensor2d(
    Array.from({ length: 48 }, (_, row) => 2 ** (-15 * (row % 2))),
    [48, 1],
  );
  const a = tf.mul(normal(48, 256, 5), size) as tf.Tensor2D;
  const b = normal(256, 96, 6);
  const y = bfloat16Product(a, b);
  expect(relativeError(tf.div(y, size), tf.div(tf.matMul(a, b), size))).toBeLessThan(TOLERANCE);
});

test("zeros give zeros, and what is not finite stays in its row and column", () => {
  const zeros = tf.zeros([40, 64]) as tf.Tensor2D;
  expect(
    bfloat16Product(zeros, normal(64, 32, 7))
      .dataSync()
      .every((x) => x === 0),
  ).toBe(true);
  const values = normal(40, 64, 8).dataSync().slice();
  values[7 * 64 + 3] = Number.NaN;
  values[20 * 64 + 5] = Number.POSITIVE_INFINITY;
  const b = normal(64, 32, 9);
  const rows = bfloat16Product(tf.tensor2d(values, [40, 64]), b).arraySync();
  const finite = tf.tensor2d(
    values.map((x) => (Number.isFinite(x) ? x : 0)),
    [40, 64],
  );
  const clean = (tf.matMul(finite, b) as tf.Tensor2D).arraySync();
  rows.forEach((row, i) => {
    if (i === 7 || i === 20) {
      expect(row.some((x) => Number.isFinite(x))).toBe(false);
    } else {
      row.forEach((x, j) => {
        expect(Math.abs(x - clean[i]![j]!)).toBeLessThan(0.2);
      });
    }
  });
});

// The library's products may add up in another order with another number of threads.
test.each([
  [300, 400, 1500],
  [64, 96, 4128], // in pieces
])("the number of threads changes no bit of our own products of %i by %i of %i terms", (m, n, k) => {
  const status = torchStatus();
  if (!status.available) throw new Error(status.reason);
  const { bfloat16, float32 } = status.info.gemm;
  const a = normal(m, k, 10);
  const b = normal(k, n, 11);
  const results = [1, 2].map((threads) => {
    setTorchThreads(threads);
    return { bfloat16: bfloat16Product(a, b).dataSync(), float32: tf.matMul(a, b).dataSync() };
  });
  setTorchThreads(1);
  if (!["library", "float32"].includes(bfloat16)) expect(results[1]!.bfloat16).toEqual(results[0]!.bfloat16);
  if (float32 !== "library") expect(results[1]!.float32).toEqual(results[0]!.float32);
});
