import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { memoryVocabulary } from "../../test/memoryDataset.js";
import { resolveModel } from "../train/config/resolveModel.js";
import { readRunConfig } from "../train/config/runConfig.js";
import { readStudy } from "./studyFile.js";

const folder = fileURLToPath(new URL("../../pipelines/studies", import.meta.url));

test.each(readdirSync(folder))("%s is a study whose every run is a run", async (name) => {
  const study = await readStudy(join(folder, name));
  expect(new Set(study.runs.map(({ directory }) => directory)).size).toBe(study.variants.length * study.seeds.length);
  for (const { base, sets, directory, seed } of [...study.models, ...study.runs.slice(0, study.variants.length + 1)]) {
    const config = await readRunConfig(base, { sets, run: directory });
    expect(config.seed).toBe(seed);
    // Without a preset the model is that of init.from, which the study needs to be there.
    if (config.model.preset) expect(resolveModel(config, memoryVocabulary()).dModel).toBeGreaterThan(0);
  }
});

test("the order of runs is seed by seed, so that a study that is cut short has whole comparisons", async () => {
  const { runs, variants } = await readStudy(join(folder, "table3.yaml"), "elsewhere");
  expect(runs.slice(0, 3).map(({ variant, seed }) => [variant, seed])).toEqual(variants.map((name) => [name, 1]));
  expect(runs[0].directory).toContain("elsewhere");
});
