import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { memoryVocabulary } from "../../../test/memoryDataset.js";
import { countParameters, stepFlops } from "../../model/count.js";
import { preset } from "../../model/presets.js";
import { resolveModel } from "./resolveModel.js";
import { identityHash, identityOf, type RunConfig, readRunConfig, runConfigSchema } from "./runConfig.js";

const folder = fileURLToPath(new URL("../../../pipelines", import.meta.url));
const shipped = readdirSync(folder).filter((name) => name.endsWith(".yaml"));
/** mT5's: 250,000 pieces and 100 sentinels. */
const mT5Vocabulary = memoryVocabulary(250_000);

test.each(shipped)("%s is a pipeline", async (name) => {
  const config = await readRunConfig(join(folder, name));
  expect(config.dataset).toBe(resolve(config.dataset));
  // A fine-tuning run has the model that it starts from.
  const start = config.init ? preset("mt5-small") : undefined;
  expect(resolveModel(config, mT5Vocabulary, start).vocabSize).toBe(250_112);
});

/** Keys of a and b that differ. */
function differences(a: RunConfig, b: RunConfig): string[] {
  const [left, right] = [identityOf(a), identityOf(b)];
  return [...new Set([...left.keys(), ...right.keys()])].filter((key) => left.get(key) !== right.get(key));
}

test.each([
  ["demo-dense.yaml", "demo-switch.yaml"],
  ["mt5-base.yaml", "mswitch-base.yaml"],
])("%s and %s differ in their experts and initialization only", async (dense, sparse) => {
  const [a, b] = [await readRunConfig(join(folder, dense)), await readRunConfig(join(folder, sparse))];
  for (const key of differences(a, b)) expect(key).toMatch(/^model\.(switch|init)/);
  const lengths = { inputs: 512, targets: 114 };
  const [left, right] = [resolveModel(a, mT5Vocabulary), resolveModel(b, mT5Vocabulary)];
  const flops = stepFlops(right, 1, lengths);
  expect(flops.total - flops.router).toBe(stepFlops(left, 1, lengths).total);
});

test("the paper's pipelines have its shapes", async () => {
  const mT5 = await readRunConfig(join(folder, "mt5-base.yaml"));
  const mSwitch = await readRunConfig(join(folder, "mswitch-base.yaml"));
  expect(countParameters(resolveModel(mT5, mT5Vocabulary)).total).toBe(582_401_280);
  expect(countParameters(resolveModel(mSwitch, mT5Vocabulary)).total / 1e9).toBeCloseTo(7.775, 3);
  for (const { steps, stream } of [mT5, mSwitch]) {
    expect([steps, stream.batchSize, stream.inputLength]).toEqual([1_000_000, 1024, 1024]);
  }
});

const minimal = {
  dataset: "d",
  run: "r",
  model: { preset: "tiny" },
  stream: { batchSize: 1, inputLength: 8 },
  steps: 5,
};
const parsed = (keys: Record<string, unknown> = {}): RunConfig => ({
  ...runConfigSchema.parse({ ...minimal, ...keys }),
  name: "x",
});

test("defaults are the papers'", () => {
  const { optimizer, stream, precision } = parsed();
  expect(optimizer.learningRate).toEqual({ schedule: "inverse-sqrt", base: 1, warmupSteps: 10_000, rampDownSteps: 0 });
  expect(stream.mixing).toEqual({ strategy: "temperature", alpha: 1 / 3.3 });
  expect(precision).toBe("float32");
});

test("noise is a share and spans have a token, and pairs have neither", () => {
  const stream = { batchSize: 1, inputLength: 8, targetLength: 8 };
  const accepts = (keys: Record<string, unknown>, objective?: string): boolean =>
    runConfigSchema.safeParse({ ...minimal, objective, stream: { ...stream, ...keys } }).success;
  expect(accepts({ noiseDensity: 0.5, meanNoiseSpanLength: 1 })).toBe(true);
  for (const wrong of [
    { noiseDensity: 0 },
    { noiseDensity: 0.95 },
    { noiseDensity: 15 },
    { meanNoiseSpanLength: 0.5 },
  ]) {
    expect(accepts(wrong), JSON.stringify(wrong)).toBe(false);
  }
  expect(accepts({}, "pairs")).toBe(true);
  expect(accepts({ noiseDensity: 0.15 }, "pairs")).toBe(false);
  expect(accepts({ meanNoiseSpanLength: 3 }, "pairs")).toBe(false);
});

test("a run's identity leaves out what does not change its result, and nothing else", () => {
  const content = { dataset: "a", vocabulary: "b" };
  const hash = (keys: Record<string, unknown> = {}): string => identityHash(parsed(keys), content);
  for (const free of [
    { dataset: "elsewhere" },
    { run: "elsewhere" },
    { steps: 9 },
    { logEvery: 3 },
    { backend: "cpu" },
    { checkpoints: { every: 3 } },
    { evaluation: { every: 3 } },
  ]) {
    expect(hash(free), JSON.stringify(free)).toBe(hash());
  }
  for (const fixed of [
    { seed: 1 },
    { stream: { batchSize: 2, inputLength: 8 } },
    { stream: { batchSize: 1, inputLength: 8, languages: ["af"] } },
    { stream: { batchSize: 1, inputLength: 8, noiseDensity: 0.3 } },
    { stream: { batchSize: 1, inputLength: 8, meanNoiseSpanLength: 2 } },
    { model: { preset: "tiny", dFf: 7 } },
    { optimizer: { learningRate: { schedule: "constant", base: 1 } } },
    { evaluation: { examplesPerLanguage: 3 } },
    { precision: "selective" },
    { batch: { accumulate: 2 } },
    { optimizer: { clipNorm: 1 } },
    { optimizer: { algorithm: "adamw", learningRate: { schedule: "constant", base: 1 } } },
    { model: { preset: "tiny-switch", switch: { topK: 2 } } },
  ]) {
    expect(hash(fixed), JSON.stringify(fixed)).not.toBe(hash());
  }
  expect(identityHash(parsed(), { ...content, dataset: "c" })).not.toBe(hash());
  const cosine = { optimizer: { algorithm: "adamw", learningRate: { schedule: "cosine", base: 1 } } };
  expect(hash({ ...cosine, steps: 9 })).not.toBe(hash(cosine));
  const ramp = { optimizer: { learningRate: { schedule: "constant", base: 1, rampDownSteps: 2 } } };
  expect(hash({ ...ramp, steps: 9 })).not.toBe(hash(ramp));
});

test("a preset, its values and the vocabulary make the model", () => {
  const vocabulary = memoryVocabulary();
  const resolved = (model: Record<string, unknown>) => resolveModel(parsed({ model }), vocabulary);
  expect(resolved({ preset: "tiny" })).toMatchObject({ switch: null, vocabSize: vocabulary.embeddingRows });
  const { init } = resolved({ preset: "tiny" });
  expect(resolved({ preset: "mt5-small", vocabSize: 2000, switch: { experts: 4 } }).init).toEqual({
    scheme: "truncated-normal",
    scale: 0.1,
  });
  expect(resolved({ preset: "tiny", switch: { experts: 4 }, dFf: 8 })).toMatchObject({
    dFf: 8,
    init: { ...init, matchedCrossAttention: 1 },
    switch: { experts: 4, every: 2, capacity: { train: 1.25, evaluation: "none" } },
  });
  expect(resolved({ preset: "tiny-switch", switch: { jitter: 0 } }).switch).toMatchObject({ experts: 8, jitter: 0 });
  expect(resolved({ preset: "tiny-switch", switch: null }).switch).toBeNull();
  expect(() => resolved({ preset: "tiny", switch: { jitter: 0 } })).toThrow(
    expect.objectContaining({ code: "config-invalid" }),
  );
  expect(() => resolved({ preset: "tiny", vocabSize: 100 })).toThrow(
    expect.objectContaining({ code: "vocabulary-model-mismatch", message: expect.stringContaining("1152") }),
  );
});
