import { type FileHandle, open } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { makeDirectory } from "../../base/files/makeDirectory.js";
import { doubleField, floatField, integerField, messageField, stringField } from "./protobuf.js";
import type { HyperParameters, Tracker } from "./tracker.js";

/**
 * TensorBoard's event files, written by hand: TFRecord frames around protocol buffers of `tensorflow.Event`.
 *
 *   frame        uint64 length, uint32 masked crc of the length, payload, uint32 masked crc of the payload; all little-endian
 *   Event        1 wall_time double, 2 step int64, 3 file_version string, 5 summary Summary, 7 session_log SessionLog
 *   Summary      1 value repeated Value
 *   Value        1 tag string, 2 simple_value float, 8 tensor, 9 metadata SummaryMetadata
 *   SummaryMetadata  1 plugin_data { 1 plugin_name string, 2 content bytes }
 *
 * and for the tab HPARAMS, as content of the plugin `hparams`:
 *
 *   HParamsPluginData  3 session_start_info { 1 hparams map<string, protobuf.Value>, 5 start_time_secs double }
 *   protobuf.Value     2 number double, 3 string, 4 bool
 */
export interface EventWriterOptions {
  /** TensorBoard calls a run after its folder: the events lie in one of this name. */
  name: string;
  /** Steps done before this process. */
  startStep: number;
  hyperParameters: HyperParameters;
}

/**
 * Starts a new event file below `directory`. Where a run goes on from a checkpoint, TensorBoard is told to forget what earlier files
 * say of the steps after it.
 */
export async function createEventWriter(
  directory: string,
  { name, startStep, hyperParameters }: EventWriterOptions,
): Promise<Tracker> {
  const folder = join(directory, folderName(name));
  makeDirectory(folder);
  // TensorBoard reads the files of a folder in the order of their names; microseconds keep two quick restarts apart.
  const started = ((performance.timeOrigin + performance.now()) / 1000).toFixed(6);
  const file = await open(join(folder, `events.out.tfevents.${started}.${hostname()}.${process.pid}`), "wx");
  await append(file, [stringField(3, "brain.Event:2")]);
  // SessionLog.START = 1: the reader drops every event of this step and later from the files before.
  if (startStep > 0) await append(file, [integerField(2, startStep + 1), messageField(7, [integerField(1, 1)])]);
  await append(file, [messageField(5, [sessionStart(hyperParameters)])]);
  return {
    async scalars(step, values) {
      const summary = Object.entries(values).map(([tag, value]) =>
        messageField(1, [stringField(1, tag), floatField(2, value)]),
      );
      await append(file, [integerField(2, step), messageField(5, summary)]);
    },
    close: () => file.close(),
  };
}

/** A run's name as the name of a folder. */
function folderName(name: string): string {
  return name.replace(/[/\\\0]/g, "-").replace(/^\.+/, "-");
}

/** The summary value from which TensorBoard makes a line of its table of hyperparameters. */
function sessionStart(hyperParameters: HyperParameters): Uint8Array {
  const entries = Object.entries(hyperParameters).map(([key, value]) =>
    messageField(1, [stringField(1, key), messageField(2, [valueField(value)])]),
  );
  const info = messageField(3, [...entries, doubleField(5, Date.now() / 1000)]);
  const plugin = messageField(1, [stringField(1, "hparams"), messageField(2, [info])]);
  return messageField(1, [stringField(1, "_hparams_/session_start_info"), messageField(9, [plugin])]);
}

function valueField(value: HyperParameters[string]): Uint8Array {
  if (typeof value === "number") return doubleField(2, value);
  return typeof value === "boolean" ? integerField(4, value ? 1 : 0) : stringField(3, value);
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
