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
 * transposed, and is about twenty times slower otherwise, which is to say in every gradient. This one transposes first and goes
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
  const outerA = a.shape.slice(0, -2);
  const outerB = b.shape.slice(0, -2);
  const outer = broadcast_util.assertAndGetBroadcastShape(outerA, outerB);
  const left = attrs.transposeA ? transposed(a, backend) : a;
  const right = attrs.transposeB ? transposed(b, backend) : b;
  const [m, k] = left.shape.slice(-2);
  const [kOfB, n] = right.shape.slice(-2);
  util.assert(k === kOfB, () => `matMul: inner sizes ${k} and ${kOfB} of shapes ${a.shape} and ${b.shape} differ`);

  const out = backend.makeOutput([...outer, m, n], "float32");
  const [start, leftStart, rightStart] = [out, left, right].map((tensor) => addressOf(backend, tensor));
  const indexA = batchIndex(outerA, outer);
  const indexB = batchIndex(outerB, outer);
  const batches = m * k * n === 0 ? 0 : util.sizeFromShape(outer);
  for (let i = 0; i < batches; i++) {
    multiply(leftStart + 4 * m * k * indexA(i), rightStart + 4 * k * n * indexB(i), start + 4 * m * n * i, m, k, n);
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

/** Which matrix of an operand with batch shape `own` the i-th product of the broadcast batch takes. */
function batchIndex(own: number[], outer: number[]): (i: number) => number {
  const size = util.sizeFromShape(own);
  if (size === util.sizeFromShape(outer)) return (i) => i;
  if (size === 1) return () => 0;
  const strides = util.computeStrides([...outer, 1]);
  const ownStrides = util.computeStrides([...own, 1]);
  const skip = outer.length - own.length;
  return (i) => {
    let index = 0;
    for (let axis = 0; axis < own.length; axis++) {
      const place = Math.floor(i / strides[axis + skip]) % outer[axis + skip];
      if (own[axis] > 1) index += place * ownStrides[axis];
    }
    return index;
  };
}
