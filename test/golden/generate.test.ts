import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../src/backends/loadBackend.js";
import { loadModel } from "../../src/model/checkpoint/huggingFace.js";
import type { ModelConfig } from "../../src/model/config.js";
import { type GenerateOptions, generateIds } from "../../src/model/generate/generateIds.js";
import { disposeParameters, type Parameters } from "../../src/model/parameters.js";
import { describeTorch } from "../helpers/fastPaths.js";

/** Recorded by recordGenerate.py. */
interface GenerateCase {
  maxNewTokens: number;
  eosId: number;
  inputs: number[][];
  greedy: number[][];
  beams: { num_beams: number; length_penalty: number; early_stopping: boolean; outputs: number[][] }[];
}

const golden = fileURLToPath(new URL("../../eval/golden/", import.meta.url));
const names = readdirSync(golden).filter((name) => existsSync(`${golden}${name}/generate.json`));

/** @param prompts of greedy decoding: all 200 take wasm a while */
function equalTransformers(name: string, prompts: number, beamPrompts: number): void {
  const recorded = JSON.parse(readFileSync(`${golden}${name}/generate.json`, "utf8")) as GenerateCase;
  let model: { config: ModelConfig; params: Parameters };
  let before: number;
  beforeAll(async () => {
    before = tf.memory().numTensors;
    model = await loadModel(`${golden}${name}`);
  });
  afterAll(() => {
    disposeParameters(model.params);
    expect(tf.memory().numTensors).toBe(before);
  });
  const write = async (inputs: number[][], options: Partial<GenerateOptions>): Promise<number[][]> => {
    const { maxNewTokens, eosId } = recorded;
    const written = await generateIds(model.config, model.params, inputs, { maxNewTokens, eosId, ...options });
    return written.map(({ ids }) => [...ids]);
  };
  it(`greedy: ${prompts} prompts`, async () => {
    expect(await write(recorded.inputs.slice(0, prompts), { batchSize: 32 })).toEqual(
      recorded.greedy.slice(0, prompts),
    );
  });
  it.each(recorded.beams)(
    "$num_beams beams, length penalty $length_penalty, early stopping $early_stopping",
    async (setting) => {
      const written = await write(recorded.inputs.slice(0, beamPrompts), {
        ...{ batchSize: 5, beams: setting.num_beams },
        ...{ lengthPenalty: setting.length_penalty, earlyStopping: setting.early_stopping },
      });
      expect(written).toEqual(setting.outputs.slice(0, beamPrompts));
    },
  );
}

describe("generation on wasm writes what Transformers writes", () => {
  beforeAll(async () => {
    await loadBackend("wasm");
  });
  describe.each(names)("%s", (name) => equalTransformers(name, 24, 6));
});

describeTorch("generation on torch writes what Transformers writes", () => {
  describe.each(names)("%s", (name) => equalTransformers(name, 200, 24));
});
