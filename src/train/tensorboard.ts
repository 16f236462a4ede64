import { type FileHandle, mkdir, open } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";

/**
 * TensorBoard's event files, written by hand: TFRecord frames around protocol buffers of `tensorflow.Event`.
 *
 *   frame    uint64 length, uint32 masked crc of the length, payload, uint32 masked crc of the payload; all little-endian
 *   Event    1 wall_time double, 2 step int64, 3 file_version string, 5 summary Summary, 7 session_log SessionLog
 *   Summary  1 value repeated Value;  Value  1 tag string, 2 simple_value float
 */
export interface EventWriter {
  /** Appends scalars of one step; numbers that are not finite are left out. */
  scalars(step: number, values: Record<string, number | undefined>): Promise<void>;
  close(): Promise<void>;
}

/**
 * Starts a new event file in `directory`. Where a run goes on from a checkpoint, TensorBoard is told to forget what earlier
 * files say of the steps after it.
 *
 * @param fromStep steps done before this process
 */
export async function createEventWriter(directory: string, fromStep: number): Promise<EventWriter> {
  await mkdir(directory, { recursive: true });
  // TensorBoard reads the files of a folder in the order of their names; microseconds keep two quick restarts apart.
  const started = ((performance.timeOrigin + performance.now()) / 1000).toFixed(6);
  const file = await open(join(directory, `events.out.tfevents.${started}.${hostname()}.${process.pid}`), "wx");
  await append(file, [stringField(3, "brain.Event:2")]);
  // SessionLog.START = 1: the reader drops every event of this step and later from the files before.
  if (fromStep > 0) await append(file, [integerField(2, fromStep + 1), messageField(7, [integerField(1, 1)])]);
  return {
    async scalars(step, values) {
      const known = Object.entries(values).filter((entry): entry is [string, number] => Number.isFinite(entry[1]));
      const summary = known.map(([tag, value]) => messageField(1, [stringField(1, tag), floatField(2, value)]));
      await append(file, [integerField(2, step), messageField(5, summary)]);
    },
    close: () => file.close(),
  };
}

async function append(file: FileHandle, fields: Uint8Array[]): Promise<void> {
  await file.appendFile(frame(Buffer.concat([doubleField(1, Date.now() / 1000), ...fields])));
}

/** A TFRecord. */
export function frame(payload: Uint8Array): Uint8Array {
  const record = Buffer.alloc(12 + payload.length + 4);
  record.writeBigUInt64LE(BigInt(payload.length), 0);
  record.writeUInt32LE(maskedCrc(record.subarray(0, 8)), 8);
  record.set(payload, 12);
  record.writeUInt32LE(maskedCrc(payload), 12 + payload.length);
  return record;
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  // The reversed Castagnoli polynomial.
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC-32C. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ crcTable[(crc ^ byte) & 0xff];
  return ~crc >>> 0;
}

/** TFRecord's mask: the crc of data that holds crcs would be a weak one. */
function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt(value);
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return Uint8Array.from([...bytes, Number(rest)]);
}

const wire = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

function tag(field: number, type: number): Uint8Array {
  return varint(field * 8 + type);
}

function integerField(field: number, value: number): Uint8Array {
  return Buffer.concat([tag(field, wire.varint), varint(value)]);
}

function doubleField(field: number, value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return Buffer.concat([tag(field, wire.fixed64), bytes]);
}

function floatField(field: number, value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([tag(field, wire.fixed32), bytes]);
}

function bytesField(field: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([tag(field, wire.bytes), varint(bytes.length), bytes]);
}

function stringField(field: number, text: string): Uint8Array {
  return bytesField(field, Buffer.from(text, "utf8"));
}

function messageField(field: number, fields: Uint8Array[]): Uint8Array {
  return bytesField(field, Buffer.concat(fields));
}
