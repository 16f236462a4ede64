// The addon and the call buffers it shares with TypeScript: native/call.h has the other side.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { chooseGemm } from "./chooseGemm.js";
import {
  type AttributeValues,
  encodeCall,
  type InputsOf,
  type NativeInput,
  type NativeSignature,
} from "./signature.js";

/** TensorFlow.js dtypes that ATen holds; string tensors stay in JavaScript. Positions are native/call.h's codes. */
export const nativeDtypes = ["float32", "int32", "bool", "complex64"] as const;
export type NativeDtype = (typeof nativeDtypes)[number];

/** A result of a call. `isBfloat16` means bfloat16 in memory; the dtype stays float32. */
export interface NativeTensor extends NativeInput {
  readonly dtype: NativeDtype;
  readonly contiguous: boolean;
  readonly isBfloat16: boolean;
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
  /** Which kernels multiply matrices of each type on the CPU. */
  gemm: GemmChoice;
  /** All that this CPU has. */
  gemmAvailable: Record<keyof GemmChoice, string[]>;
  /** Whether this build can record work as CUDA graphs. */
  graphs: boolean;
}

/** Kernels that multiply matrices, by type: native/cpu/gemm/choice.h has their names. */
export interface GemmChoice {
  bfloat16: string;
  float32: string;
}

/** GFLOP/s of one thread, by name of the kernels. */
export type GemmRates = Record<keyof GemmChoice, Record<string, number>>;

/** Bytes of a CUDA device: what tensors hold, the most that they held, what is kept for them, and all there is. */
export interface DeviceMemory {
  allocated: number;
  peak: number;
  reserved: number;
  total: number;
}

interface Addon {
  run(op: number): number | undefined;
  results(): void;
  setBuffers(args: Float64Array, results: Float64Array): void;
  write(values: ArrayBufferView, dtype: number, shape: readonly number[], device: number): number;
  read(handle: number): Float32Array | Int32Array | Uint8Array;
  view(handle: number): Float32Array | Int32Array | undefined;
  release(handle: number): void;
  stats(): { tensors: number; bytes: number };
  /** The signatures of all operations, as JSON. */
  ops(): string;
  /** Whether fused operations are computed by ATen's operations (native/runtime/device.h); gives what was before. */
  useAten(on: boolean): boolean;
  /** Whether results are held to the signatures too: for tests. */
  checkResults(on: boolean): void;
  info(): AddonInfo;
  setThreads(threads: number): void;
  measureGemm(): GemmRates;
  setGemm(type: keyof GemmChoice, name: string): void;
  synchronize(device: number): void;
  deviceMemory(device: number): DeviceMemory | undefined;
  overwrite(handle: number, values: Float32Array | Int32Array): void;
  /** Handles of float32 tensors [count]; seven numbers a draw (native/cpu/normals.h). */
  normals(draws: Float64Array, device: number): number[];
  graphBegin(device: number): void;
  graphEnd(): number;
  graphAbort(): void;
  graphReplay(graph: number): void;
  graphRelease(graph: number): void;
  programBegin(): void;
  programEnd(): number;
  programAbort(): void;
  programRun(program: number): void;
  programRelease(program: number): void;
  groupsAvailable: boolean;
  groupOpen(options: GroupAddress): Promise<number>;
  groupSplit(ranks: readonly number[]): Promise<number>;
  groupAllReduce(group: number, handles: readonly number[], largest: boolean, factor: number): Promise<number>;
  groupReduce(group: number, rows: readonly number[], root: number): Promise<number>;
  groupBroadcast(group: number, rows: readonly number[], root: number, from?: readonly number[]): Promise<number>;
  groupCollective(kind: string, group: number, ...rest: (number | readonly number[])[]): Promise<number>;
  groupTraffic(): CollectiveTraffic[];
  groupClose(): void;
}

/** How often a collective was called in a group since it was made, and the bytes of its tensors on this rank. */
export interface CollectiveTraffic {
  kind: "all-reduce" | "reduce" | "reduce-scatter" | "all-gather" | "all-to-all" | "broadcast";
  group: number;
  /** Processes in the group. */
  ranks: number;
  times: number;
  bytes: number;
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
  operations: ReadonlyMap<string, { number: number; signature: NativeSignature }>;
  args: Float64Array;
  results: Float64Array;
}

const firstBufferLength = 4096;

/** Where the build step puts the addon, or the one that TFJS_TORCH_ADDON names. */
export function addonPath(): string {
  return process.env.TFJS_TORCH_ADDON ?? fileURLToPath(new URL("../build/Release/tfjs_torch.node", import.meta.url));
}

/** What builds the addon, in a package that uses this one and in this repository. */
export const buildCommand = "npx @mswitch/tfjs-backend-torch build";

let loaded: Loaded | null = null;

function load(): Loaded {
  if (loaded !== null) return loaded;
  const path = addonPath();
  if (!existsSync(path)) {
    throw new Error(`the libtorch addon has not been built: ${path} is not there. Run: ${buildCommand}`);
  }
  sleepWhileWaiting();
  const addon = createRequire(import.meta.url)(path) as Addon;
  const signatures = signaturesOf(addon, path);
  chooseGemm(addon, path);
  const operations = new Map(signatures.map((signature, number) => [signature.name, { number, signature }]));
  loaded = { addon, operations, args: new Float64Array(0), results: new Float64Array(0) };
  resize(loaded, firstBufferLength, firstBufferLength);
  return loaded;
}

/** An addon built from another version of this package's sources tells of its operations in another form, or not at all. */
function signaturesOf(addon: Addon, path: string): NativeSignature[] {
  try {
    return JSON.parse(addon.ops()) as NativeSignature[];
  } catch {
    throw new Error(`${path} was built from another version of this package. Run: ${buildCommand}`);
  }
}

/**
 * OpenMP's threads wait for each other in a loop for some milliseconds, in which nothing else has their cores: beside one busy process
 * a step took 30 times as long. A loop of some 0.25 ms, then sleep: waking a thread takes a virtual machine as long as a small operation. libgomp
 * reads this when it is loaded; what a user has set stands.
 */
function sleepWhileWaiting(): void {
  if (process.env.OMP_WAIT_POLICY === undefined) process.env.GOMP_SPINCOUNT ??= "20000";
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

/** What every operation of the addon takes and gives, as declared in C++. Loads it. */
export function nativeSignatures(): NativeSignature[] {
  return [...load().operations.values()].map(({ signature }) => signature);
}

/**
 * Runs one operation of the addon in one native call. The addon holds the call to the operation's signature before a kernel sees it.
 *
 * @param device CUDA device number, or -1 for the CPU: where kernels without inputs create their result
 * @param operand the handle of an input
 * @throws Error with the operation, the argument that is wrong, and the inputs' dtypes and shapes; or with libtorch's message
 */
export function callNative<T>(
  op: string,
  device: number,
  inputs: InputsOf<T>,
  attributes: AttributeValues,
  operand: (input: T) => NativeInput,
): NativeTensor[] {
  const native = load();
  const operation = native.operations.get(op);
  if (operation === undefined) throw new Error(`the libtorch addon has no operation ${op}: build it again`);
  const encode = (): number => encodeCall(operation.signature, device, inputs, attributes, operand, native.args);
  const length = encode();
  if (length > native.args.length) {
    resize(native, 2 * length, native.results.length);
    encode();
  }
  const missing = native.addon.run(operation.number);
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
      isBfloat16: (flags & 2) !== 0,
      shape,
    });
    at += 4 + rank;
  }
  return tensors;
}
