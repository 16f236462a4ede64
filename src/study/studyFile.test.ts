import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { stringify } from "yaml";
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

test.each([
  [{ grid: { steps: [4, 4] } }, [], /two variants are called steps 4/],
  [{ grid: { seed: [1, 2] } }, [], /seed cannot be set/],
  [{ set: { run: "elsewhere" } }, [], /run cannot be set/],
  [{}, ["seed=3"], /seed cannot be set/],
])("what would be the same run, or what the study says itself, is refused: %j %j", async (keys, sets, message) => {
  const path = join(mkdtempSync(join(tmpdir(), "mswitch-study-file-")), "study.yaml");
  writeFileSync(
    path,
    stringify({ title: "t", base: join(folder, "../demo-dense.yaml"), out: "o", seeds: [1], ...keys }),
  );
  await expect(readStudy(path, undefined, sets)).rejects.toMatchObject({
    code: "study-invalid",
    message: expect.stringMatching(message),
  });
  rmSync(dirname(path), { recursive: true });
});

test("the order of runs is seed by seed, so that a study that is cut short has whole comparisons", async () => {
  const { runs, variants } = await readStudy(join(folder, "table3.yaml"), "elsewhere");
  expect(runs.slice(0, 3).map(({ variant, seed }) => [variant, seed])).toEqual(variants.map((name) => [name, 1]));
  expect(runs[0].directory).toContain("elsewhere");
});
