import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { crc32c, createEventWriter, frame } from "./tensorboard.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mswitch-events-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Python with TensorBoard, or undefined. */
function pythonWithTensorboard(): string | undefined {
  const python = process.env.MSWITCH_PYTHON;
  if (!python) return undefined;
  try {
    execFileSync(python, ["-c", "import tensorboard"], { stdio: "ignore" });
    return python;
  } catch {
    return undefined;
  }
}

test("the checksum is CRC-32C", () => {
  // RFC 3720, appendix B.4, and the check value of the CRC catalogue.
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
  expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
});

test("a frame is length, crc, payload, crc", () => {
  const record = Buffer.from(frame(Buffer.from("abc")));
  expect(record.length).toBe(12 + 3 + 4);
  expect(record.readBigUInt64LE(0)).toBe(3n);
  expect(record.subarray(12, 15).toString()).toBe("abc");
});

test("scalars are written as tag and float under their step", async () => {
  const writer = await createEventWriter(folder, 0);
  await writer.scalars(300, { loss: 1.5, absent: undefined, infinite: Number.POSITIVE_INFINITY });
  await writer.close();
  const [name] = readdirSync(folder);
  const bytes = readFileSync(join(folder, name));
  expect(bytes.includes("brain.Event:2")).toBe(true);
  // Step 300 as varint; summary { value { tag: "loss", simple_value: 1.5 } }.
  expect(bytes.includes(Buffer.from([0x10, 0xac, 0x02]))).toBe(true);
  expect(bytes.includes(Buffer.from([0x0a, 4, 0x6c, 0x6f, 0x73, 0x73, 0x15, 0, 0, 0xc0, 0x3f]))).toBe(true);
  expect(bytes.includes("absent") || bytes.includes("infinite")).toBe(false);
});

const python = pythonWithTensorboard();

test.runIf(python)("TensorBoard reads the files, and forgets what a restart does again", async () => {
  const first = await createEventWriter(folder, 0);
  for (const step of [1, 2, 3]) await first.scalars(step, { loss: step });
  await first.close();
  const second = await createEventWriter(folder, 2);
  await second.scalars(3, { loss: 30 });
  await second.close();
  const script = `
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1])
events.Reload()
print(json.dumps([[event.step, event.value] for event in events.Scalars("loss")]))`;
  const output = execFileSync(python!, ["-c", script, folder], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  expect(JSON.parse(output)).toEqual([
    [1, 1],
    [2, 2],
    [3, 30],
  ]);
});
