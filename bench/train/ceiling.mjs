// What the matrix products of a step reach alone, through the backend's own matMul.
import { stepProducts } from "./shapes.mjs";

/** Seconds of one call: the median of a few, after one that warms caches and kernels up. */
function secondsOf(tf, call) {
  const run = () => {
    const started = performance.now();
    const result = call();
    tf.backend().synchronize?.();
    const seconds = (performance.now() - started) / 1e3;
    result.dispose();
    return seconds;
  };
  const first = run();
  const times = Array.from({ length: Math.min(9, Math.max(3, Math.ceil(0.1 / first))) }, run).sort((a, b) => a - b);
  return times[times.length >> 1];
}

/** A matrix product and its backward pass's two, in seconds: y = x·Wᵀ, dx = dy·W, dW = dyᵀ·x; or the same of two activations. */
function tripleSeconds(tf, narrow, { kind, batch, m, k, n }) {
  const shape = (rows, columns) => (batch > 1 ? [batch, rows, columns] : [rows, columns]);
  const matrix = (rows, columns) => tf.tidy(() => narrow(tf.sub(tf.mul(tf.ones(shape(rows, columns)), 0.02), 0.01)));
  const x = matrix(m, k);
  const w = kind === "linear" ? matrix(n, k) : matrix(k, n);
  const dy = matrix(m, n);
  const transposed = kind === "linear";
  const seconds =
    secondsOf(tf, () => tf.matMul(x, w, false, transposed)) +
    secondsOf(tf, () => tf.matMul(dy, w, false, !transposed)) +
    secondsOf(tf, () => (transposed ? tf.matMul(dy, x, true) : tf.matMul(x, dy, true)));
  tf.dispose([x, w, dy]);
  return seconds;
}

/** Seconds that the products of one step take alone, by whichever kernels are set. */
function productSeconds(tf, narrow, products) {
  const known = new Map();
  let seconds = 0;
  for (const product of products) {
    const key = [product.kind, product.batch, product.m, product.k, product.n].join();
    if (!known.has(key)) known.set(key, tripleSeconds(tf, narrow, product));
    seconds += product.count * known.get(key);
  }
  return seconds;
}

/**
 * @param gemm { kernels(), set(type, name) } of a backend that has several kernels: the products are timed by each of them
 * @returns seconds that the products of one step take alone, the least of any kernels here and their name, and GFLOP/s of square
 * products of 2048
 */
export function measureCeiling(tf, narrow, config, lengths, batch, gemm) {
  const products = stepProducts(config, lengths, batch);
  const seconds = productSeconds(tf, narrow, products);
  const square = tripleSeconds(tf, narrow, { kind: "linear", batch: 1, m: 2048, k: 2048, n: 2048 });
  const result = { seconds, squareGflops: (3 * 2 * 2048 ** 3) / square / 1e9, best: { seconds, name: "" } };
  if (gemm === undefined) return result;
  const type = config.precision === "float32" ? "float32" : "bfloat16";
  const { available, chosen } = gemm.kernels();
  result.best.name = chosen[type];
  for (const name of available[type].filter((one) => one !== chosen[type])) {
    gemm.set(type, name);
    const others = productSeconds(tf, narrow, products);
    if (others < result.best.seconds) result.best = { seconds: others, name };
  }
  gemm.set(type, chosen[type]);
  return result;
}
