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
  const writer = await createEventWriter(folder, { name: "a/b", startStep: 0, hyperParameters: {} });
  await writer.scalars(300, { loss: 1.5 });
  await writer.close();
  // TensorBoard calls a run after its folder.
  const [name] = readdirSync(join(folder, "a-b"));
  const bytes = readFileSync(join(folder, "a-b", name));
  expect(bytes.includes("brain.Event:2")).toBe(true);
  // Step 300 as varint; summary { value { tag: "loss", simple_value: 1.5 } }.
  expect(bytes.includes(Buffer.from([0x10, 0xac, 0x02]))).toBe(true);
  expect(bytes.includes(Buffer.from([0x0a, 4, 0x6c, 0x6f, 0x73, 0x73, 0x15, 0, 0, 0xc0, 0x3f]))).toBe(true);
});

const python = pythonWithTensorboard();

/** Runs a program of TensorBoard's Python on the folder; what it prints is JSON. */
function read(program: string): unknown {
  const stdout = execFileSync(python!, ["-c", program, folder], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  return JSON.parse(stdout);
}

test.runIf(python)("TensorBoard reads the files, and forgets what a restart does again", async () => {
  const options = { name: "dense", hyperParameters: {} };
  const first = await createEventWriter(folder, { ...options, startStep: 0 });
  for (const step of [1, 2, 3]) await first.scalars(step, { loss: step });
  await first.close();
  const second = await createEventWriter(folder, { ...options, startStep: 2 });
  await second.scalars(3, { loss: 30 });
  await second.close();
  const events = read(`
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1] + "/dense")
events.Reload()
print(json.dumps([[event.step, event.value] for event in events.Scalars("loss")]))`);
  expect(events).toEqual([
    [1, 1],
    [2, 2],
    [3, 30],
  ]);
});

test.runIf(python)("TensorBoard shows runs by name, with their hyperparameters", async () => {
  for (const [name, experts] of [
    ["dense", 0],
    ["8 experts", 8],
  ] as const) {
    const hyperParameters = { "model.switch.experts": experts, precision: "selective", recordSteps: true };
    const writer = await createEventWriter(folder, { name, startStep: 0, hyperParameters });
    await writer.scalars(1, { "train/loss": 2 });
    await writer.close();
  }
  // What the tab HPARAMS asks its server for, run by run.
  const runs = read(`
import json, sys
from google.protobuf.json_format import MessageToDict
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import metadata
events = EventMultiplexer().AddRunsFromDirectory(sys.argv[1])
events.Reload()
content = events.PluginRunToTagToContent("hparams")
print(json.dumps({
    run: MessageToDict(metadata.parse_session_start_info_plugin_data(tags["_hparams_/session_start_info"]))["hparams"]
    for run, tags in content.items()
}))`);
  expect(runs).toEqual({
    dense: { "model.switch.experts": 0, precision: "selective", recordSteps: true },
    "8 experts": { "model.switch.experts": 8, precision: "selective", recordSteps: true },
  });
});
