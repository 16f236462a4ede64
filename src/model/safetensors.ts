/** A tensor to be written: values in row-major order. Called one at a time, so only one need be in memory. */
export interface TensorSource {
  name: string;
  shape: readonly number[];
  dtype: "F32" | "I32";
  /** Reads the values when their turn has come. */
  values(): Promise<Float32Array | Int32Array>;
}

export type SafetensorsDtype = "F32" | "F16" | "BF16" | "I32";

export interface TensorEntry {
  dtype: SafetensorsDtype;
  shape: number[];
  /** Bytes from the start of the file. */
  begin: number;
  end: number;
}

/** An open safetensors file. Close it. */
export interface SafetensorsFile {
  path: string;
  metadata: Record<string, string>;
  tensors: ReadonlyMap<string, TensorEntry>;
  /** Values of a floating tensor, widened to float32. */
  readFloat(name: string): Promise<Float32Array>;
  /** Values of an I32 tensor. */
  readInt(name: string): Promise<Int32Array>;
  close(): Promise<void>;
}

/** Opens a file and checks its whole header (length, offsets, overlaps, dtypes, shapes) before any tensor is read. */
export async function openSafetensors(_path: string): Promise<SafetensorsFile> {
  throw new Error("internal: not written yet");
}

/** Writes a file atomically, tensor by tensor. */
export async function writeSafetensors(
  _path: string,
  _tensors: readonly TensorSource[],
  _metadata: Record<string, string> = {},
): Promise<void> {
  throw new Error("internal: not written yet");
}
