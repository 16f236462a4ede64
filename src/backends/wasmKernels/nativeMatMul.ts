import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import type { TensorInfo } from "@tensorflow/tfjs-core";

/** Multiplies [M, K] by [K, N] out of and into the wasm heap, addresses in bytes. */
export type NativeMatMul = (a: number, b: number, out: number, m: number, k: number, n: number) => void;

/** The part of the backend's Emscripten module used here; its own declaration rests on types that are not installed. */
interface WasmModule {
  cwrap(name: string, returns: null, args: string[]): (...args: (number | Uint8Array)[]) => void;
  tfjs: { registerTensor(id: number, size: number, address: number): void; disposeData(id: number): void };
}

/** Ids for passing views of the heap: far above those the backend counts up for its own tensors. */
let nextViewId = 2 ** 30;

/**
 * The backend's own matrix product for the one case that runs on XNNPACK: a single pair, nothing transposed. Takes views of the
 * heap, so a matrix inside a batch costs no copy.
 */
export function nativeMatMul(backend: BackendWasm): NativeMatMul {
  const wasm = backend.wasm as unknown as WasmModule;
  const matrix = ["number", "array", "number"]; // id, shape, rank
  const call = wasm.cwrap("BatchMatMul", null, [...matrix, ...matrix, "number", "number", "number"]);
  const shapeBytes = (...shape: number[]): Uint8Array => new Uint8Array(new Int32Array(shape).buffer);
  const view = (address: number, size: number): number => {
    const id = nextViewId++;
    wasm.tfjs.registerTensor(id, size, address);
    return id;
  };
  return (a, b, out, m, k, n) => {
    const ids = [view(a, m * k), view(b, k * n), view(out, m * n)];
    call(ids[0], shapeBytes(1, m, k), 3, ids[1], shapeBytes(1, k, n), 3, 0, 0, ids[2]);
    for (const id of ids) wasm.tfjs.disposeData(id);
  };
}

/** Address of a tensor's values in the wasm heap, in bytes. */
export function addressOf(backend: BackendWasm, tensor: TensorInfo): number {
  return backend.dataIdMap.get(tensor.dataId).memoryOffset;
}
