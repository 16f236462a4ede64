import { type FileHandle, open } from "node:fs/promises";
import * as z from "zod";
import { withHashedFile } from "../../base/atomicFile.js";
import { MswitchError, messageOf } from "../../base/errors.js";
import type { FileContent } from "../../base/hash.js";

// Layout: 8 bytes of little-endian header length, a JSON header {name: {dtype, shape, data_offsets}}, the data. Nothing in a header
// is believed before it has been checked against the file's size.

/** A tensor to be written: values in row-major order. Called one at a time, so only one need be in memory. */
export interface TensorSource {
  name: string;
  shape: readonly number[];
  dtype: "F32" | "I32";
  /** Reads the values when their turn has come. */
  values(): Promise<Float32Array | Int32Array>;
}

const itemBytes = { F32: 4, F16: 2, BF16: 2, I32: 4 } as const;
export type SafetensorsDtype = keyof typeof itemBytes;

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

/** The format's own limit. */
const maxHeaderBytes = 100 * 2 ** 20;
const maxRank = 8;
/** Bytes read in one call: Node takes at most 2 GiB. */
const ioBytes = 2 ** 26;

const headerSchema = z.record(
  z.string(),
  z.union([
    z.object({
      dtype: z.string(),
      shape: z.array(z.int().nonnegative()).max(maxRank),
      data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
    }),
    z.record(z.string(), z.string()),
  ]),
);

/** Opens a file and checks its whole header (length, keys, offsets, overlaps, holes, dtypes, shapes) before any tensor is read. */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const file = await open(path, "r").catch((error: unknown) => {
    throw new MswitchError("cannot be opened", {
      code: "weights-unreadable",
      where: path,
      why: messageOf(error),
      cause: error,
    });
  });
  try {
    const { metadata, tensors } = await readHeader(file, path);
    const readBytes = async (name: string, allowed: readonly SafetensorsDtype[]): Promise<[TensorEntry, Buffer]> => {
      const entry = tensors.get(name);
      if (!entry) throw broken(path, `holds no tensor "${name}"`);
      if (!allowed.includes(entry.dtype)) {
        throw broken(path, `tensor "${name}" is ${entry.dtype}, expected ${allowed.join(" or ")}`);
      }
      return [entry, await readRange(file, path, entry.begin, entry.end)];
    };
    return {
      path,
      metadata,
      tensors,
      readFloat: async (name) => widen(...(await readBytes(name, ["F32", "F16", "BF16"]))),
      readInt: async (name) => {
        const [, bytes] = await readBytes(name, ["I32"]);
        return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error instanceof MswitchError ? error : broken(path, messageOf(error));
  }
}

/** Writes a file atomically, tensor by tensor. Its bytes are hashed while the system takes them. */
export async function writeSafetensors(
  path: string,
  tensors: readonly TensorSource[],
  metadata: Record<string, string> = {},
): Promise<FileContent> {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const { name, shape, dtype } of tensors) {
    const size = shape.reduce((product, length) => product * length, itemBytes[dtype]);
    header[name] = { dtype, shape, data_offsets: [offset, offset + size] };
    offset += size;
  }
  const json = JSON.stringify(header);
  // Spaces at the end bring the data to an 8-byte boundary, as the format's own writer does.
  const text = Buffer.from(json.padEnd(json.length + ((8 - (Buffer.byteLength(json) % 8)) % 8)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return withHashedFile(path, async (write) => {
    await write(Buffer.concat([length, text]));
    for (const { name, shape, values } of tensors) {
      const data = await values();
      const expected = shape.reduce((product, size) => product * size, 1);
      if (data.length !== expected) throw new Error(`internal: ${name} has ${data.length} values, not ${expected}`);
      await write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
  });
}

async function readHeader(file: FileHandle, path: string) {
  const { size } = await file.stat();
  if (size < 8) throw broken(path, `${size} bytes are too few for a header`);
  const headerLength = Number((await readRange(file, path, 0, 8)).readBigUInt64LE());
  if (headerLength > Math.min(maxHeaderBytes, size - 8)) {
    throw broken(
      path,
      `header length ${headerLength} goes beyond the file's ${size} bytes or the limit of ${maxHeaderBytes}`,
    );
  }
  const text = (await readRange(file, path, 8, 8 + headerLength)).toString("utf8");
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw broken(path, `the header is not JSON: ${messageOf(error)}`);
  }
  if (keysWritten(text) !== keysRead(json)) throw broken(path, "the header gives a key twice");
  const parsed = headerSchema.safeParse(json);
  if (!parsed.success) {
    const { path: at, message } = parsed.error.issues[0];
    throw broken(path, `header entry "${at.join(".")}": ${message}`);
  }
  const { __metadata__: metadata = {}, ...entries } = parsed.data;
  const tensors = new Map<string, TensorEntry>();
  for (const [name, entry] of Object.entries(entries))
    tensors.set(name, checkEntry(path, name, entry, headerLength, size));
  checkLayout(path, tensors, 8 + headerLength, size);
  return { metadata: metadata as Record<string, string>, tensors };
}

function checkEntry(
  path: string,
  name: string,
  entry: z.infer<typeof headerSchema>[string],
  headerLength: number,
  fileSize: number,
): TensorEntry {
  if (!("data_offsets" in entry) || !Array.isArray(entry.shape) || !Array.isArray(entry.data_offsets)) {
    throw broken(path, `header entry "${name}" is not a tensor`);
  }
  const { dtype, shape } = entry;
  if (!Object.hasOwn(itemBytes, dtype))
    throw broken(
      path,
      `tensor "${name}" is ${dtype}, which is not read here (${Object.keys(itemBytes).join(", ")} are)`,
    );
  const itemSize = itemBytes[dtype as SafetensorsDtype];
  const [begin, end] = entry.data_offsets.map((offset) => offset + 8 + headerLength);
  if (begin > end || end > fileSize) {
    throw broken(
      path,
      `tensor "${name}" lies at bytes ${begin} to ${end} of a file of ${fileSize}: truncated or damaged`,
    );
  }
  const bytes = shape.reduce((product, length) => product * length, itemSize);
  if (bytes !== end - begin) {
    throw broken(
      path,
      `tensor "${name}" of shape [${shape.join(", ")}] and ${dtype} needs ${bytes} bytes but has ${end - begin}`,
    );
  }
  return { dtype: dtype as SafetensorsDtype, shape, begin, end };
}

/** Keys of a JSON text: each has a colon behind it, outside of all strings. */
function keysWritten(json: string): number {
  return json.replace(/"(?:[^"\\]|\\.)*"/g, "").split(":").length - 1;
}

/** Keys of a value that `JSON.parse` made, which keeps the last of several that are equal. */
function keysRead(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  const own = Array.isArray(value) ? 0 : Object.keys(value).length;
  return Object.values(value).reduce((sum: number, inner: unknown) => sum + keysRead(inner), own);
}

/** The tensors must fill the file from the header to the end, without overlap or hole, as the format asks. */
function checkLayout(path: string, tensors: Map<string, TensorEntry>, dataBegin: number, fileSize: number): void {
  const inOrder = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let [before, at] = ["the header", dataBegin];
  for (const [name, { begin, end }] of inOrder) {
    if (begin < at) throw broken(path, `tensors "${before}" and "${name}" overlap`);
    if (begin > at) throw broken(path, `bytes ${at} to ${begin}, before tensor "${name}", belong to no tensor`);
    [before, at] = [name, end];
  }
  if (at < fileSize) throw broken(path, `bytes ${at} to ${fileSize}, after the last tensor, belong to no tensor`);
}

/** Bytes [begin, end), in memory of their own, aligned for any typed array. */
async function readRange(file: FileHandle, path: string, begin: number, end: number): Promise<Buffer> {
  const bytes = Buffer.from(new ArrayBuffer(end - begin));
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, done, Math.min(ioBytes, bytes.length - done), begin + done);
    if (bytesRead === 0) throw broken(path, `ends at byte ${begin + done}, before its data does`);
    done += bytesRead;
  }
  return bytes;
}

function widen({ dtype }: TensorEntry, bytes: Buffer): Float32Array {
  if (dtype === "F32") return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  if (dtype === "F16") return Float32Array.from(halves, halfToFloat);
  // bfloat16 is the upper half of a float32
  return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
}

/** IEEE 754 binary16. */
function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function broken(path: string, why: string): MswitchError {
  return new MswitchError("not a usable safetensors file", { code: "weights-invalid", where: path, why });
}
