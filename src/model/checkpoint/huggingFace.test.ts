import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as tfjs from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../backends/loadBackend.js";
import type { ModelConfig } from "../config.js";
import { logits } from "../exampleLogProbs.js";
import { disposeParameters, initParameters, type Parameters } from "../parameters.js";
import { preset, switchTwin } from "../presets.js";
import { loadModel, saveModel } from "./huggingFace.js";
import { modelTypeOf } from "./huggingFaceConfig.js";
import { openSafetensors } from "./safetensors.js";

const small: ModelConfig = { ...preset("tiny"), vocabSize: 96, dModel: 32, dFf: 48, dKv: 8, heads: 4 };
const dense = { ...small, encoderLayers: 2, decoderLayers: 2 };
const relu = { ...dense, feedForward: "relu" as const };
const options = { experts: 4, capacity: { absolute: 8 }, group: "sequence" as const, ignorePadding: false };

const configs: Record<string, ModelConfig> = {
  "dense mT5": dense,
  "dense mT5 with ReLU": relu,
  "dense tied T5": { ...dense, tieEmbeddings: true },
  "dense tied T5 with ReLU": { ...relu, tieEmbeddings: true },
  "ReLU Switch": switchTwin(relu, options),
  "tied ReLU Switch": switchTwin({ ...relu, tieEmbeddings: true }, options),
  "ReLU Switch with unequal stacks": switchTwin({ ...relu, encoderLayers: 3 }, options),
  "ReLU Switch with every layer sparse": switchTwin(relu, { ...options, every: 1 }),
  // These have no class in Transformers: their directories bring one.
  "gated Switch": switchTwin(dense, { experts: 3, zLossWeight: 0.001 }),
  "tied gated Switch": switchTwin({ ...dense, tieEmbeddings: true }, { experts: 4 }),
  "gated mixture with two experts a token": switchTwin(dense, { experts: 4, topK: 2 }),
  "ReLU Switch with a shared expert": switchTwin(relu, { ...options, sharedExpert: true }),
  "ReLU Switch with every third layer sparse": switchTwin(
    { ...relu, encoderLayers: 3, decoderLayers: 3 },
    { experts: 4, every: 3 },
  ),
};

const inputs = [
  [5, 17, 60, 33, 90, 4, 1],
  [44, 8, 9, 1, 0, 0, 0],
];
const targets = [
  [95, 20, 21, 94, 1],
  [95, 7, 1, 0, 0],
];

let tf: typeof tfjs;
let directory: string;
beforeAll(async () => {
  ({ tf } = await loadBackend("wasm"));
  directory = mkdtempSync(join(tmpdir(), "mswitch-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

function makeDirectory(): string {
  return mkdtempSync(join(directory, "model-"));
}

/** Fresh weights, spread wide enough that a wrong one shows in the logits. */
function wideParameters(config: ModelConfig): Parameters {
  const params = initParameters({ ...config, init: { scheme: "t5" } }, 11);
  for (const [name, variable] of params) {
    if (/relative_attention_bias|router|layer_norm/.test(name)) {
      tf.tidy(() => variable.assign(tf.add(variable, tf.randomNormal(variable.shape, 0, 0.3, "float32", 5))));
    }
  }
  return params;
}

async function logitsOf(config: ModelConfig, params: Parameters, given = targets): Promise<number[]> {
  const batch = { inputs: tf.tensor2d(inputs, undefined, "int32"), targets: tf.tensor2d(given, undefined, "int32") };
  const out = logits(config, params, batch);
  const values = [...(await out.data())];
  tf.dispose([out, batch.inputs, batch.targets]);
  return values;
}

/** Of the real targets. */
async function realLogitsOf(config: ModelConfig, params: Parameters): Promise<number[]> {
  const real = targets.flat().map((id) => id !== 0);
  return (await logitsOf(config, params)).filter((_, i) => real[Math.floor(i / config.vocabSize)]);
}

/** The likeliest id after each prefix, up to the end-of-sequence id, padded with 0. */
async function greedy(config: ModelConfig, params: Parameters, steps: number): Promise<number[][]> {
  const rows: number[][] = inputs.map(() => []);
  for (let t = 0; t < steps && !rows.every((row) => row.includes(1)); t++) {
    // What stands last is to be found; it must not be padding, which is not routed.
    const values = await logitsOf(
      config,
      params,
      rows.map((row) => [...row, 2]),
    );
    for (const [b, row] of rows.entries()) {
      const begin = (b * (t + 1) + t) * config.vocabSize;
      const scores = values.slice(begin, begin + config.vocabSize);
      row.push(row.includes(1) ? 0 : scores.indexOf(Math.max(...scores)));
    }
  }
  return rows;
}

describe("model directories", () => {
  it.each(Object.entries(configs))("%s comes back as it was", async (_, config) => {
    const before = tf.memory().numTensors;
    const params = wideParameters(config);
    const path = makeDirectory();
    await saveModel(path, config, params);
    const loaded = await loadModel(path);
    expect(loaded.config).toEqual(config);
    expect([...loaded.params.keys()].sort()).toEqual([...params.keys()].sort());
    for (const [name, variable] of params) {
      expect(loaded.params.get(name)?.shape).toEqual(variable.shape);
      expect(await loaded.params.get(name)?.data()).toEqual(await variable.data());
    }
    disposeParameters(params);
    disposeParameters(loaded.params);
    expect(tf.memory().numTensors).toBe(before);
  });

  it("names what Transformers has no class for its own way", () => {
    expect(modelTypeOf(configs["gated Switch"])).toBe("mswitch");
    expect(modelTypeOf(switchTwin({ ...relu, encoderLayers: 8, decoderLayers: 8 }, { experts: 2, every: 4 }))).toBe(
      "mswitch",
    );
    expect(modelTypeOf(configs["ReLU Switch"])).toBe("switch_transformers");
  });

  it("splits above a size, and comes back", async () => {
    const params = wideParameters(configs["ReLU Switch"]);
    const path = makeDirectory();
    await saveModel(path, configs["ReLU Switch"], params, { maxShardBytes: 50_000 });
    const files = readdirSync(path).filter((name) => name.endsWith(".safetensors"));
    expect(files.length).toBeGreaterThan(2);
    const index = JSON.parse(readFileSync(join(path, "model.safetensors.index.json"), "utf8"));
    expect(new Set(Object.values(index.weight_map))).toEqual(new Set(files));
    const loaded = await loadModel(path);
    for (const [name, variable] of params) expect(await loaded.params.get(name)?.data()).toEqual(await variable.data());
    disposeParameters(params);
    disposeParameters(loaded.params);
  });
});

describe("a directory of Transformers 5 without an output layer", () => {
  it.each([
    ["mt5", {}, false],
    ["t5", { scale_decoder_outputs: false }, false],
    ["t5", { scale_decoder_outputs: true }, true],
    ["umt5", {}, true],
  ])("of %s with %j has states that are scaled: %j", async (type, keys, tied) => {
    const path = makeDirectory();
    const config = { ...dense, tieEmbeddings: true, ...(type === "umt5" ? { relativeBiasPerLayer: true } : {}) };
    const params = initParameters(config, 1);
    await saveModel(path, config, params);
    const file = join(path, "config.json");
    const { mswitch: _, ...json } = JSON.parse(readFileSync(file, "utf8"));
    writeFileSync(file, JSON.stringify({ ...json, model_type: type, tie_word_embeddings: true, ...keys }));
    const read = await loadModel(path);
    expect(read.config.tieEmbeddings).toBe(tied);
    if (!tied)
      expect(await read.params.get("lm_head.weight")?.data()).toEqual(await params.get("shared.weight")?.data());
    disposeParameters(params);
    disposeParameters(read.params);
  });
});

describe("a damaged model directory", () => {
  async function saved(): Promise<string> {
    const path = makeDirectory();
    const params = initParameters(dense, 1);
    await saveModel(path, dense, params);
    disposeParameters(params);
    return path;
  }
  /** Saves, changes config.json, and returns the error of loading. */
  async function withConfig(change: (json: Record<string, unknown>) => void): Promise<Error> {
    const path = await saved();
    const file = join(path, "config.json");
    const json = JSON.parse(readFileSync(file, "utf8"));
    change(json);
    writeFileSync(file, JSON.stringify(json));
    return loadModel(path).then(
      () => new Error("loaded"),
      (error: Error) => error,
    );
  }

  it("names the tensor whose shape is not the configuration's", async () => {
    const error = await withConfig((json) => {
      Object.assign(json, { mswitch: { ...dense, dFf: 64 } });
    });
    expect(error.message).toMatch(/model\.safetensors.*DenseReluDense\.wi_0\.weight" is \[48, 32\].*\[64, 32\]/);
  });

  it("names tensors that are missing and that are too many", async () => {
    const more = await withConfig((json) => void Object.assign(json, { mswitch: { ...dense, encoderLayers: 3 } }));
    expect(more.message).toContain('lacks "encoder.block.2.layer.0.SelfAttention.q.weight"');
    const fewer = await withConfig((json) => void Object.assign(json, { mswitch: { ...dense, encoderLayers: 1 } }));
    expect(fewer.message).toContain('holds "encoder.block.1.layer.0.SelfAttention.q.weight"');
  });

  it("says which key of a foreign configuration is wrong", async () => {
    const error = await withConfig((json) => {
      delete json.mswitch;
      json.d_model = "32";
    });
    expect(error.message).toMatch(/config\.json.*d_model/);
  });

  it("says that a file is truncated or absent", async () => {
    const path = await saved();
    const file = join(path, "model.safetensors");
    truncateSync(file, 5000);
    await expect(loadModel(path)).rejects.toMatchObject({ code: "weights-invalid", where: file });
    rmSync(file);
    await expect(loadModel(path)).rejects.toMatchObject({ where: expect.stringContaining("model.safetensors") });
  });

  it("keeps out of other directories whatever an index says", async () => {
    const path = await saved();
    const index = { weight_map: { "shared.weight": "../model.safetensors" } };
    writeFileSync(join(path, "model.safetensors.index.json"), JSON.stringify(index));
    await expect(loadModel(path)).rejects.toMatchObject({ where: expect.stringContaining("index.json") });
  });
});

const script = `
import json, sys, torch
from transformers import AutoModelForSeq2SeqLM
job = json.load(open(sys.argv[1]))
inputs, targets = torch.tensor(job["inputs"]), torch.tensor(job["targets"])
shifted = torch.cat([torch.zeros(len(targets), 1, dtype=torch.long), targets[:, :-1]], 1)
out = []
for directory in job["directories"]:
    model, info = AutoModelForSeq2SeqLM.from_pretrained(directory, output_loading_info=True, trust_remote_code=True)
    model.eval()
    with torch.no_grad():
        logits = model(input_ids=inputs, attention_mask=(inputs != 0).long(), decoder_input_ids=shifted).logits
    keys = {kind: sorted(map(str, info[kind])) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")}
    generated = model.generate(input_ids=inputs, attention_mask=(inputs != 0).long(), max_new_tokens=6, do_sample=False)
    out.append({
        "class": type(model).__name__,
        **keys,
        "logits": logits[targets != 0].flatten().tolist(),
        "generated": generated[:, 1:].tolist(),
    })
json.dump(out, open(sys.argv[2], "w"))
`;

describe("Transformers", () => {
  it("loads every architecture, gives the same logits and generates the same ids", async (ctx) => {
    const python = process.env.MSWITCH_PYTHON;
    if (!python) return ctx.skip("MSWITCH_PYTHON does not name a Python with transformers and torch");
    const path = makeDirectory();
    const directories: string[] = [];
    const ours: number[][] = [];
    const continued: number[][][] = [];
    for (const config of Object.values(configs)) {
      const params = wideParameters(config);
      const target = makeDirectory();
      await saveModel(target, config, params);
      directories.push(target);
      ours.push(await realLogitsOf(config, params));
      continued.push(await greedy(config, params, 6));
      disposeParameters(params);
    }
    writeFileSync(join(path, "check.py"), script);
    writeFileSync(join(path, "job.json"), JSON.stringify({ inputs, targets, directories }));
    const env = { ...process.env, HF_MODULES_CACHE: join(path, "modules") };
    execFileSync(python, [join(path, "check.py"), join(path, "job.json"), join(path, "out.json")], {
      stdio: "pipe",
      env,
    });
    const theirs = JSON.parse(readFileSync(join(path, "out.json"), "utf8"));
    for (const [i, name] of Object.keys(configs).entries()) {
      const { class: className, missing_keys, unexpected_keys, mismatched_keys, logits: values, generated } = theirs[i];
      expect({ name, missing_keys, unexpected_keys, mismatched_keys }).toEqual({
        name,
        missing_keys: [],
        unexpected_keys: [],
        mismatched_keys: [],
      });
      const scale = Math.max(...values.map(Math.abs));
      const difference = Math.max(...values.map((value: number, j: number) => Math.abs(value - ours[i][j])));
      expect(difference / scale, `${name} as ${className}`).toBeLessThan(1e-4);
      expect(generated, `${name} as ${className}`).toEqual(continued[i]);
    }
  }, 300_000);

  it("is read through its half-precision files too", async (ctx) => {
    const python = process.env.MSWITCH_PYTHON;
    if (!python) return ctx.skip("MSWITCH_PYTHON does not name a Python with transformers and torch");
    const path = makeDirectory();
    const code = `import sys, torch
from safetensors.torch import save_file
values = torch.tensor([0.0, -0.0, 1.0, -2.5, 65504.0, 6e-8, 1e-5, 3.14159])
save_file({"f16": values.half(), "bf16": values.bfloat16(), "f32": values}, sys.argv[1])`;
    execFileSync(python, ["-c", code, join(path, "halves.safetensors")]);
    const file = await openSafetensors(join(path, "halves.safetensors"));
    expect([...(await file.readFloat("f16"))]).toEqual([0, -0, 1, -2.5, 65504, 2 ** -24, 168 * 2 ** -24, 3.140625]);
    expect([...(await file.readFloat("bf16"))].slice(0, 4)).toEqual([0, -0, 1, -2.5]);
    await file.close();
  });
});
