import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { testBackends } from "../../../test/helpers/tensors.js";
import { loadBackend } from "../../backends/loadBackend.js";
import type { ModelConfig } from "../config.js";
import { logits } from "../exampleLogProbs.js";
import { disposeParameters, initParameters } from "../parameters.js";
import { preset, switchTwin } from "../presets.js";
import { generateIds } from "./generateIds.js";

const dense: ModelConfig = { ...preset("tiny"), vocabSize: 48, dModel: 16, dFf: 24, dKv: 4, heads: 2 };
const configs: [string, ModelConfig][] = [
  ["one table of positions", dense],
  ["a table of positions in each layer", { ...dense, relativeBiasPerLayer: true }],
  ["the same in a Switch", switchTwin({ ...dense, relativeBiasPerLayer: true }, { experts: 4, group: "batch" })],
];

describe.each(testBackends)("generation on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  it.each(configs)(
    "%s: each token is the likeliest after those before it in the whole forward pass",
    async (_, config) => {
      const params = initParameters(config, 5);
      const texts = [
        [7, 30, 12, 44, 1],
        [9, 1],
      ];
      const written = await generateIds(config, params, texts, { maxNewTokens: 9, eosId: 1 });
      for (const [i, text] of texts.entries()) {
        const { ids } = written[i];
        const likeliest = tf.tidy(() => {
          const batch = {
            inputs: tf.tensor2d([text], undefined, "int32"),
            targets: tf.tensor2d([[...ids]], undefined, "int32"),
          };
          return [...tf.argMax(logits(config, params, batch), 2).dataSync()];
        });
        expect(ids.length).toBeGreaterThan(0);
        expect(likeliest).toEqual([...ids]);
      }
      disposeParameters(params);
    },
  );
});
