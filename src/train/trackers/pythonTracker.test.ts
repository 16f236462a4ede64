import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { silentLog } from "../../base/log.js";
import { startPythonTrackers } from "./pythonTracker.js";
import { hyperParametersOf } from "./tracker.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mswitch-tracker-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const python = process.env.MSWITCH_PYTHON ?? "python3";
const has = (name: string): boolean => spawnSync(python, ["-c", `import ${name}`]).status === 0;
const options = (name: string) => ({
  ...{ name, directory: folder, log: silentLog },
  hyperParameters: { steps: 10, "model.preset": "tiny" },
});

test("a configuration is flat: numbers, texts, booleans; lists as JSON, and what is not set is left out", () => {
  const config = { steps: 3, model: { switch: null, init: { scheme: "t5" } }, list: [1, 2], absent: undefined };
  const flat = { steps: 3, "model.switch": "null", "model.init.scheme": "t5", list: "[1,2]" };
  expect(hyperParametersOf(config)).toEqual(flat);
});

test.skipIf(has("trackio"))("a package that is not there is an error before training", async () => {
  const work = startPythonTrackers({ trackio: { project: "p" } }, options("a"));
  await expect(work).rejects.toMatchObject({ code: "tracker-not-usable", where: "trackers.trackio", exitCode: 2 });
  expect(readdirSync(folder)).toEqual([]);
});

test("no Python is the same error", async () => {
  const before = process.env.MSWITCH_PYTHON;
  process.env.MSWITCH_PYTHON = join(folder, "no-python");
  try {
    const work = startPythonTrackers({ mlflow: { experiment: "e" } }, options("a"));
    await expect(work).rejects.toMatchObject({ code: "tracker-not-usable", why: expect.stringContaining("ENOENT") });
  } finally {
    if (before === undefined) delete process.env.MSWITCH_PYTHON;
    else process.env.MSWITCH_PYTHON = before;
  }
});

test.runIf(has("wandb"))("W&B keeps an offline run, and goes on with it", { timeout: 120_000 }, async () => {
  const wandb = { project: "p", mode: "offline" as const };
  for (const step of [1, 2]) {
    const [tracker] = await startPythonTrackers({ wandb }, options("dense"));
    await tracker.scalars(step, { "train/loss": 5 - step });
    await tracker.close();
  }
  const ids = JSON.parse(readFileSync(join(folder, "trackers.json"), "utf8"));
  const kept = readdirSync(join(folder, "wandb")).filter((name) => name.startsWith("offline-run-"));
  expect(kept.map((name) => name.split("-").at(-1))).toEqual([ids.wandb, ids.wandb]);
  // What W&B wrote: a log of LevelDB's format, records in its protocol buffers.
  const read = `
import glob, json, sys
from wandb.proto import wandb_internal_pb2

def records(data):
    at, record = 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4:at + 6], "little"), data[at + 6]
        record += data[at + 7:at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield record
            record = b""

found = []
for path in sorted(glob.glob(sys.argv[1] + "/wandb/offline-run-*/*.wandb")):
    for data in records(open(path, "rb").read()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "run":
            found.append({"name": record.run.display_name})
        if record.WhichOneof("record_type") == "history":
            items = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            found.append({"step": items["_step"], "loss": items["train/loss"]})
print(json.dumps(found))`;
  const found = JSON.parse(execFileSync(python, ["-c", read, folder], { encoding: "utf8" })) as Record<
    string,
    unknown
  >[];
  expect(found.filter((record) => "step" in record)).toEqual([
    { step: 1, loss: 4 },
    { step: 2, loss: 3 },
  ]);
  expect(found[0]).toMatchObject({ name: "dense" });
});
