// The addon and the call buffers it shares with TypeScript: native/call.h has the other side.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

/** A parameter of a kernel, in the order in which its C++ function reads them. Strings travel as character codes. */
export type Param = number | boolean | string | readonly number[];

/** TensorFlow.js dtypes that ATen holds; string tensors stay in JavaScript. Positions are native/call.h's codes. */
export const nativeDtypes = ["float32", "int32", "bool", "complex64"] as const;
export type NativeDtype = (typeof nativeDtypes)[number];

/** An input of a call: the handle and the logical shape, which may be another than the handle's. */
export interface NativeInput {
  readonly handle: number;
  readonly shape: readonly number[];
}

/** A result of a call. `narrow` means bfloat16 in memory; the dtype stays float32. */
export interface NativeTensor extends NativeInput {
  readonly dtype: NativeDtype;
  readonly contiguous: boolean;
  readonly narrow: boolean;
  readonly shape: number[];
}

export interface AddonInfo {
  torchVersion: string;
  /** CUDA devices that this process can use. */
  cudaDevices: number;
  /** Whether libtorch was built with CUDA. */
  cudaBuild: boolean;
  /** Threads of one operation on the CPU. */
  threads: number;
  /** Instruction set of libtorch's CPU kernels. */
  cpu: string;
  /** Whether this build can record work as CUDA graphs. */
  graphs: boolean;
}

interface Addon {
  run(op: number): number | undefined;
  results(): void;
  setBuffers(args: Float64Array, results: Float64Array): void;
  write(values: ArrayBufferView, dtype: number, shape: readonly number[], device: number): number;
  read(handle: number): Float32Array | Int32Array | Uint8Array;
  release(handle: number): void;
  stats(): { tensors: number; bytes: number };
  ops(): string[];
  info(): AddonInfo;
  setThreads(threads: number): void;
  synchronize(device: number): void;
  overwrite(handle: number, values: Float32Array | Int32Array): void;
  graphBegin(device: number): void;
  graphEnd(): number;
  graphAbort(): void;
  graphReplay(graph: number): void;
  graphRelease(graph: number): void;
  groupsAvailable: boolean;
  groupOpen(options: GroupAddress): Promise<number>;
  groupSplit(ranks: readonly number[]): Promise<number>;
  groupAllReduce(group: number, handles: readonly number[], largest: boolean, factor: number): Promise<number>;
  groupCollective(kind: string, group: number, ...rest: (number | readonly number[])[]): Promise<number>;
  groupClose(): void;
}

/** native/distributed/binding.cc reads these. */
export interface GroupAddress {
  host: string;
  port: number;
  listens: boolean;
  rank: number;
  size: number;
  prefix: string;
  timeoutMs: number;
}

interface Loaded {
  addon: Addon;
  opNumbers: ReadonlyMap<string, number>;
  args: Float64Array;
  results: Float64Array;
}

const firstBufferLength = 4096;

/** Where the build step puts the addon. */
export function addonPath(): string {
  return fileURLToPath(new URL("../build/Release/tfjs_torch.node", import.meta.url));
}

let loaded: Loaded | null = null;

function load(): Loaded {
  if (loaded !== null) return loaded;
  const path = addonPath();
  if (!existsSync(path)) {
    throw new Error(
      `the libtorch addon has not been built: ${path} is not there. Run: npm run build:native -w @mswitch/tfjs-backend-torch`,
    );
  }
  const addon = createRequire(import.meta.url)(path) as Addon;
  const opNumbers = new Map(addon.ops().map((name, i) => [name, i]));
  loaded = { addon, opNumbers, args: new Float64Array(0), results: new Float64Array(0) };
  resize(loaded, firstBufferLength, firstBufferLength);
  return loaded;
}

function resize(native: Loaded, argsLength: number, resultsLength: number): void {
  const args = new Float64Array(argsLength);
  args.set(native.args.subarray(0, argsLength));
  native.args = args;
  native.results = new Float64Array(resultsLength);
  native.addon.setBuffers(native.args, native.results);
}

/** The addon's functions beside kernels. Loads it; throws where it is missing or does not fit this Node or libtorch. */
export function nativeAddon(): Omit<Addon, "run" | "results" | "setBuffers" | "ops"> {
  return load().addon;
}

function lengthOf(inputs: readonly NativeInput[], params: readonly Param[]): number {
  let length = 3;
  for (const { shape } of inputs) length += 2 + shape.length;
  for (const param of params) length += typeof param === "object" || typeof param === "string" ? 1 + param.length : 1;
  return length;
}

/**
 * Runs one kernel of the addon in one native call.
 *
 * @param device CUDA device number, or -1 for the CPU: where kernels without inputs create their result
 * @throws Error with the kernel's name, its inputs' dtypes and shapes, and libtorch's message
 */
export function callNative(
  op: string,
  device: number,
  inputs: readonly NativeInput[],
  params: readonly Param[],
): NativeTensor[] {
  const native = load();
  const number = native.opNumbers.get(op);
  if (number === undefined) throw new Error(`the libtorch addon has no operation ${op}: build it again`);
  const length = lengthOf(inputs, params);
  if (length > native.args.length) resize(native, 2 * length, native.results.length);
  const args = native.args;
  let at = 0;
  args[at++] = length;
  args[at++] = device;
  args[at++] = inputs.length;
  for (const { handle, shape } of inputs) {
    args[at++] = handle;
    args[at++] = shape.length;
    for (let d = 0; d < shape.length; d++) args[at++] = shape[d]!;
  }
  for (const param of params) {
    if (typeof param === "number") args[at++] = param;
    else if (typeof param === "boolean") args[at++] = param ? 1 : 0;
    else {
      args[at++] = param.length;
      for (let i = 0; i < param.length; i++) {
        args[at++] = typeof param === "string" ? param.charCodeAt(i) : param[i]!;
      }
    }
  }
  const missing = native.addon.run(number);
  if (missing !== undefined) {
    resize(native, native.args.length, 2 * missing);
    native.addon.results();
  }
  return readResults(native.results);
}

function readResults(results: Float64Array): NativeTensor[] {
  const tensors: NativeTensor[] = [];
  let at = 1;
  for (let i = 0; i < results[0]!; i++) {
    const flags = results[at + 2]!;
    const rank = results[at + 3]!;
    const shape: number[] = [];
    for (let d = 0; d < rank; d++) shape.push(results[at + 4 + d]!);
    tensors.push({
      handle: results[at]!,
      dtype: nativeDtypes[results[at + 1]!]!,
      contiguous: (flags & 1) !== 0,
      narrow: (flags & 2) !== 0,
      shape,
    });
    at += 4 + rank;
  }
  return tensors;
}
