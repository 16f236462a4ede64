import {
  type BackendValues,
  type DataId,
  DataStorage,
  type DataType,
  engine,
  KernelBackend,
  type TensorInfo,
  util,
} from "@tensorflow/tfjs-core";
import {
  callNative,
  type DeviceMemory,
  type NativeDtype,
  type NativeTensor,
  nativeAddon,
  nativeDtypes,
} from "./native.js";
import type { AttributeValues, InputsOf, NativeInput } from "./signature.js";

/** What a data id stands for: a tensor in libtorch by handle, or the bytes of strings. */
interface TorchData {
  handle: number;
  /** Shape of the tensor in libtorch. A TensorInfo that shares the data may have another of the same size. */
  shape: readonly number[];
  dtype: DataType;
  contiguous: boolean;
  refCount: number;
  strings: Uint8Array[] | null;
}

/** A tensor of normal numbers times a factor. */
export interface NormalDraw {
  /** Four 32-bit words that sfc32 starts from. */
  state: readonly [number, number, number, number];
  shape: number[];
  factor: number;
  /** Whether numbers beyond 2, before the factor, are drawn again. */
  truncated: boolean;
}

/** Memory that `tf.memory()` shows for this backend, beside TensorFlow.js's own counts. */
export interface TorchMemory {
  unreliable: boolean;
  /** Tensors that libtorch holds for this JavaScript thread, and their bytes (bfloat16 counts two bytes a value). */
  torchTensors: number;
  torchBytes: number;
  /** Of the CUDA device that the backend is on; absent on the CPU. */
  device?: DeviceMemory;
}

const noAttributes: AttributeValues = {};

/** TensorFlow.js counts a complex tensor as three data ids: the container, its real and its imaginary part. */
const idsOf = (dtype: DataType): number => (dtype === "complex64" ? 3 : 1);

/** TensorFlow.js's storage on libtorch tensors. Kernels reach libtorch through `op` and `ops`. */
export class TorchBackend extends KernelBackend {
  private readonly storage: DataStorage<TorchData>;
  private ids = 0;
  private nextId = 0;
  private readonly handles = new Set<number>();

  /** @param device CUDA device number, or -1 for the CPU */
  constructor(readonly device: number) {
    super();
    this.storage = new DataStorage<TorchData>(this, engine());
  }

  /** Runs an operation of the addon with one result: see `callNative`. */
  op(name: string, inputs: InputsOf<TensorInfo>, attributes: AttributeValues = noAttributes): TensorInfo {
    return this.ops(name, inputs, attributes)[0]!;
  }

  /** Runs an operation of the addon: see `callNative`. */
  ops(name: string, inputs: InputsOf<TensorInfo>, attributes: AttributeValues = noAttributes): TensorInfo[] {
    const operand = (input: TensorInfo): NativeInput => ({ handle: this.handleOf(input), shape: input.shape });
    return callNative(name, this.device, inputs, attributes, operand).map((tensor) => this.adopt(tensor));
  }

  /**
   * Runs an operation of the addon that changes its inputs. They arrive in the shape that libtorch has them in: under another one it
   * would be given a view, and could not tell views that must not change with it.
   */
  inPlace(name: string, inputs: InputsOf<TensorInfo>, attributes: AttributeValues): TensorInfo[] {
    const operand = (input: TensorInfo): NativeInput => ({
      handle: this.handleOf(input),
      shape: this.storage.get(input.dataId).shape,
    });
    return callNative(name, this.device, inputs, attributes, operand).map((tensor) => this.adopt(tensor));
  }

  /** The same values under another shape: shares the data where they lie in order, copies where not. */
  reshape(x: TensorInfo, shape: number[]): TensorInfo {
    const data = this.storage.get(x.dataId);
    if (!data.contiguous) return this.op("Reshape", { x }, { shape });
    data.refCount++;
    return { dataId: x.dataId, shape, dtype: x.dtype };
  }

  /** The same tensor once more. */
  share(x: TensorInfo): TensorInfo {
    this.incRef(x.dataId);
    return { dataId: x.dataId, shape: x.shape, dtype: x.dtype };
  }

  private adopt(tensor: NativeTensor): TensorInfo {
    const { handle, shape, dtype, contiguous } = tensor;
    return this.store({}, { handle, shape, dtype, contiguous, refCount: 1, strings: null });
  }

  private store(dataId: DataId, data: TorchData): TensorInfo {
    this.storage.set(dataId, data);
    this.ids += idsOf(data.dtype);
    if (data.handle >= 0) this.handles.add(data.handle);
    return { dataId, shape: data.shape as number[], dtype: data.dtype };
  }

  override write(values: BackendValues, shape: number[], dtype: DataType): DataId {
    const dataId = { id: this.nextId++ };
    this.move(dataId, values, shape, dtype, 1);
    return dataId;
  }

  override move(dataId: DataId, values: BackendValues, shape: number[], dtype: DataType, refCount: number): void {
    const record = { shape, dtype, contiguous: true, refCount };
    if (dtype === "string") {
      this.store(dataId, { ...record, handle: -1, strings: values as Uint8Array[] });
      return;
    }
    const typed = typedValues(values, dtype, util.sizeFromShape(shape));
    const handle = nativeAddon().write(typed, nativeDtypes.indexOf(dtype as NativeDtype), shape, this.device);
    this.store(dataId, { ...record, handle, strings: null });
  }

  override readSync(dataId: DataId): BackendValues {
    const { strings, handle } = this.storage.get(dataId);
    return strings ?? nativeAddon().read(handle);
  }

  /** The values where they lie, if they lie in memory as JavaScript has them: to be read before they change, and not to be written. */
  view(dataId: DataId): Float32Array | Int32Array | undefined {
    const { handle } = this.storage.get(dataId);
    return handle < 0 ? undefined : nativeAddon().view(handle);
  }

  override async read(dataId: DataId): Promise<BackendValues> {
    return this.readSync(dataId);
  }

  override disposeData(dataId: DataId, force = false): boolean {
    if (!this.storage.has(dataId)) return true;
    const data = this.storage.get(dataId);
    data.refCount--;
    if (!force && data.refCount > 0) return false;
    if (this.handles.delete(data.handle)) nativeAddon().release(data.handle);
    this.storage.delete(dataId);
    this.ids -= idsOf(data.dtype);
    return true;
  }

  override incRef(dataId: DataId): void {
    this.storage.get(dataId).refCount++;
  }

  override refCount(dataId: DataId): number {
    return this.storage.has(dataId) ? this.storage.get(dataId).refCount : 0;
  }

  /** New values where the old ones lie: for every tensor that shares the data, and for work that was recorded with it. */
  overwrite(dataId: DataId, values: Float32Array | Int32Array): void {
    nativeAddon().overwrite(this.storage.get(dataId).handle, values);
  }

  /** Float32 tensors of normal numbers, each drawn from a stream of its own; on all threads. */
  normals(draws: readonly NormalDraw[]): TensorInfo[] {
    const numbers = draws.flatMap(({ state, shape, factor, truncated }) => {
      return [...state, util.sizeFromShape(shape), factor, Number(truncated)];
    });
    const handles = nativeAddon().normals(Float64Array.from(numbers), this.device);
    return handles.map((handle, i) => {
      const { shape } = draws[i]!;
      // In libtorch it is flat: what is changed in place must be given in the shape that it has there.
      const stored = [util.sizeFromShape(shape)];
      const data = { handle, shape: stored, dtype: "float32" as const, contiguous: true, refCount: 1, strings: null };
      return { ...this.store({}, data), shape };
    });
  }

  /** The handle under which the addon knows a tensor's data. */
  handleOf({ dataId }: TensorInfo): number {
    const { handle } = this.storage.get(dataId);
    if (handle < 0) throw new Error("string tensors are not supported");
    return handle;
  }

  override numDataIds(): number {
    return this.ids;
  }

  override memory(): TorchMemory {
    const { tensors, bytes } = nativeAddon().stats();
    const device = nativeAddon().deviceMemory(this.device);
    return { unreliable: false, torchTensors: tensors, torchBytes: bytes, ...(device ? { device } : {}) };
  }

  /** Waits until the device has done all that it was given. */
  synchronize(): void {
    nativeAddon().synchronize(this.device);
  }

  override async time(run: () => void): Promise<{ kernelMs: number }> {
    this.synchronize();
    const start = util.now();
    run();
    this.synchronize();
    return { kernelMs: util.now() - start };
  }

  override timerAvailable(): boolean {
    return true;
  }

  override floatPrecision(): 16 | 32 {
    return 32;
  }

  /** Frees what is left, as when the backend is removed while tensors live. */
  override dispose(): void {
    for (const handle of this.handles) nativeAddon().release(handle);
    this.handles.clear();
    this.ids = 0;
  }
}

/** Values as the typed array whose bytes libtorch takes. Other backends may hand over int32 values in a float array. */
function typedValues(values: BackendValues, dtype: DataType, size: number): Float32Array | Int32Array | Uint8Array {
  if (values == null) return util.makeZerosTypedArray(dtype === "complex64" ? 2 * size : size, dtype as "float32");
  const array = values as Float32Array;
  switch (dtype) {
    case "float32":
    case "complex64":
      return array instanceof Float32Array ? array : Float32Array.from(array);
    case "int32":
      return (array as unknown) instanceof Int32Array ? array : Int32Array.from(array);
    case "bool":
      return (array as unknown) instanceof Uint8Array ? array : Uint8Array.from(array);
    default:
      throw new Error(`dtype ${dtype} is not supported`);
  }
}
