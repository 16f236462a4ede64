import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
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

/**
 * Packages that pip could not get here, as their documentation declares them (mlflow.tracking.fluent of MLflow 2.20, trackio 0.26): each
 * call is noted, and another argument than those is Python's TypeError.
 */
const standIns = {
  mlflow: `
import json, os, types
def note(*call):
    with open(os.environ["CALLS"], "a") as file: file.write(json.dumps(call) + "\\n")
def set_tracking_uri(uri): note("uri", uri)
def set_experiment(experiment_name=None, experiment_id=None): note("experiment", experiment_name)
def start_run(run_id=None, experiment_id=None, run_name=None, nested=False, parent_run_id=None, tags=None, description=None, log_system_metrics=None):
    note("start", run_id, run_name)
    return types.SimpleNamespace(info=types.SimpleNamespace(run_id=run_id or "run1"))
def log_params(params, synchronous=None, run_id=None): note("params", params)
def log_metrics(metrics, step=None, synchronous=None, run_id=None, timestamp=None): note("metrics", step, metrics)
def end_run(status="FINISHED"): note("end")
`,
  trackio: `
import json, os
def note(*call):
    with open(os.environ["CALLS"], "a") as file: file.write(json.dumps(call) + "\\n")
def init(project, name=None, group=None, space_id=None, server_url=None, space_storage=None, dataset_id=None, bucket_id=None, config=None, resume="never", settings=None, private=None, embed=True):
    note("init", project, name, space_id, resume, config)
def log(metrics, step=None): note("log", step, metrics)
def finish(): note("finish")
`,
};
const config = { steps: 10, "model.preset": "tiny" };
const trackersTried = [
  {
    name: "mlflow",
    section: { mlflow: { experiment: "e", uri: "http://127.0.0.1:5000" } },
    expected: [
      ["uri", "http://127.0.0.1:5000"],
      ["experiment", "e"],
      ["start", null, "dense"],
      ["params", config],
      ["metrics", 1, { "train/loss": 4 }],
      ["end"],
      ["uri", "http://127.0.0.1:5000"],
      ["experiment", "e"],
      ["start", "run1", "dense"],
      ["metrics", 2, { "train/loss": 3 }],
      ["end"],
    ],
  },
  {
    name: "trackio",
    section: { trackio: { project: "p" } },
    expected: [1, 2].flatMap((step) => [
      ["init", "p", "dense", null, "allow", config],
      ["log", step, { "train/loss": 5 - step }],
      ["finish"],
    ]),
  },
] as const;

test.each(trackersTried)(
  "$name is called as its documentation says, and goes on with its run",
  async ({ name, section, expected }) => {
    writeFileSync(join(folder, `${name}.py`), standIns[name]);
    vi.stubEnv("PYTHONPATH", folder);
    vi.stubEnv("CALLS", join(folder, "calls"));
    try {
      for (const step of [1, 2]) {
        const [tracker] = await startPythonTrackers(section, options("dense"));
        await tracker.scalars(step, { "train/loss": 5 - step });
        await tracker.close();
      }
    } finally {
      vi.unstubAllEnvs();
    }
    const calls = readFileSync(join(folder, "calls"), "utf8").trim().split("\n");
    expect(calls.map((call) => JSON.parse(call))).toEqual(expected);
  },
);

test.runIf(has("wandb"))("W&B keeps an offline run, and goes on with it", async () => {
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
