import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import {
  type BatchMatMulAttrs,
  broadcast_util,
  getKernel,
  type KernelConfig,
  type TensorInfo,
  util,
} from "@tensorflow/tfjs-core";
import { addressOf, type NativeMatMul, nativeMatMul } from "./nativeMatMul.js";

let multiply: NativeMatMul;

/**
 * BatchMatMul for the wasm backend. Its own takes the vectorised path (XNNPACK) only for a single pair of matrices that are not
 * transposed, and is five to ten times slower otherwise, which is to say in every gradient. This one transposes first and goes
 * through a batch pair by pair.
 */
export const batchMatMulConfig: KernelConfig = {
  kernelName: "BatchMatMul",
  backendName: "wasm",
  setupFunc: (backend) => {
    multiply = nativeMatMul(backend as BackendWasm);
  },
  kernelFunc: ({ inputs, attrs, backend }) =>
    batchMatMul(
      inputs.a as TensorInfo,
      inputs.b as TensorInfo,
      attrs as unknown as BatchMatMulAttrs,
      backend as BackendWasm,
    ),
};

function batchMatMul(a: TensorInfo, b: TensorInfo, attrs: BatchMatMulAttrs, backend: BackendWasm): TensorInfo {
  const outer = broadcast_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const batches = util.sizeFromShape(outer);
  const indexA = batchIndex(util.sizeFromShape(a.shape.slice(0, -2)), batches);
  const indexB = batchIndex(util.sizeFromShape(b.shape.slice(0, -2)), batches);
  const left = attrs.transposeA ? transposed(a, backend) : a;
  const right = attrs.transposeB ? transposed(b, backend) : b;
  const [m, k] = left.shape.slice(-2);
  const [kOfB, n] = right.shape.slice(-2);
  util.assert(k === kOfB, () => `matMul: inner sizes ${k} and ${kOfB} of shapes ${a.shape} and ${b.shape} differ`);

  const out = backend.makeOutput([...outer, m, n], "float32");
  const [start, leftStart, rightStart] = [out, left, right].map((tensor) => addressOf(backend, tensor));
  const product = multiply(m, k, n);
  for (let i = 0; i < batches && m * k * n > 0; i++) {
    product(leftStart + 4 * m * k * indexA(i), rightStart + 4 * k * n * indexB(i), start + 4 * m * n * i);
  }
  if (k === 0) backend.typedArrayFromHeap(out).fill(0);
  if (left !== a) backend.disposeData(left.dataId);
  if (right !== b) backend.disposeData(right.dataId);
  return out;
}

/** Swaps the last two axes. */
function transposed(x: TensorInfo, backend: BackendWasm): TensorInfo {
  const rank = x.shape.length;
  const perm = [...Array(rank - 2).keys(), rank - 1, rank - 2];
  return getKernel("Transpose", "wasm").kernelFunc({ inputs: { x }, attrs: { perm }, backend }) as TensorInfo;
}

/** Which matrix of an operand of `own` matrices the i-th product takes: its own, or the only one. */
function batchIndex(own: number, batches: number): (i: number) => number {
  util.assert(own === batches || own === 1, () => `matMul: a batch of ${own} does not broadcast to ${batches}`);
  return own === 1 ? () => 0 : (i) => i;
}
