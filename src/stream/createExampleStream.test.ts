import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { memoryDataset, memoryToken, memoryVocabulary } from "../../test/memoryDataset.js";
import type { Log } from "../base/log.js";
import type { StreamConfig } from "./batch.js";
import { createExampleStream } from "./createExampleStream.js";
import { uncorrupt } from "./objectives/spanCorruption.js";

const dataset = memoryDataset({
  af: { train: 10_000, documents: 40 },
  am: { train: 705, documents: 3 },
  cy: { train: 70 * 5 + 1, documents: 2 },
  zu: { train: 2, documents: 1 },
});
const config: StreamConfig = { seed: 17, batchSize: 24, inputLength: 64, mixing: { strategy: "uniform" } };

/** The original tokens of every row, as `language: first..last (length)` looked up in the run. */
function rows(step: number, stream = createExampleStream(dataset, config)): { language: string; tokens: number[] }[] {
  const { inputs, targets, languages, lengths, batchSize } = stream.batch(step);
  return Array.from({ length: batchSize }, (_, row) => ({
    language: stream.languages[languages[row]],
    tokens: uncorrupt(
      inputs.subarray(row * lengths.inputs, (row + 1) * lengths.inputs),
      targets.subarray(row * lengths.targets, (row + 1) * lengths.targets),
      dataset.vocabulary,
    ),
  }));
}

describe("createExampleStream", () => {
  test("batch(step) is the same in any order, from any stream", () => {
    const stream = createExampleStream(dataset, config);
    fc.assert(
      fc.property(fc.nat(1e8), fc.nat(1e8), (step, other) => {
        const first = stream.batch(step);
        stream.batch(other);
        expect(stream.batch(step)).toEqual(first);
        expect(createExampleStream(dataset, config).batch(step)).toEqual(first);
      }),
      { numRuns: 30 },
    );
  });

  test("shapes are fixed", () => {
    const batch = createExampleStream(dataset, config).batch(3);
    expect(batch).toMatchObject({ step: 3, batchSize: 24, lengths: { inputs: 64, tokens: 70, targets: 14 } });
    expect([batch.inputs.length, batch.targets.length, batch.languages.length]).toEqual([24 * 64, 24 * 14, 24]);
  });

  test("the density of noise and the length of its spans decide the shapes and what is masked", () => {
    const stream = createExampleStream(dataset, { ...config, noiseDensity: 0.5, meanNoiseSpanLength: 2 });
    expect(stream.lengths).toEqual({ inputs: 64, tokens: 84, targets: 64 });
    for (const { language, tokens } of rows(3, stream)) {
      const at = (start: number) => memoryToken(language, "train", start);
      const starts = Array.from({ length: Math.ceil(dataset.run(language, "train").tokens / 84) }, (_, s) => s * 84);
      const first = starts.find((start) => at(start) === tokens[0])!;
      expect(tokens).toEqual(tokens.map((_, i) => at(first + i)));
    }
  });

  test("each epoch reads every segment of a language once, in another order, the short last one included", () => {
    const stream = createExampleStream(dataset, config);
    const seen = new Map<string, number[]>(stream.languages.map((language) => [language, []]));
    for (let step = 0; step < 40; step++) {
      for (const { language, tokens } of rows(step, stream)) {
        const segments = Math.ceil(dataset.run(language, "train").tokens / 70);
        const segment = Array.from({ length: segments }, (_, s) => s).find(
          (s) => memoryToken(language, "train", s * 70) === tokens[0],
        );
        const start = (segment ?? 0) * 70;
        expect(tokens).toEqual(tokens.map((_, i) => memoryToken(language, "train", start + i)));
        expect(tokens.length).toBe(Math.min(70, dataset.run(language, "train").tokens - start));
        seen.get(language)?.push(segment ?? -1);
      }
    }
    const amharic = seen.get("am") ?? [];
    const firstEpoch = amharic.slice(0, 11);
    const secondEpoch = amharic.slice(11, 22);
    expect([...firstEpoch].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect([...secondEpoch].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(firstEpoch).not.toEqual(secondEpoch);
    // The one token left over in Welsh makes no segment of its own.
    expect(new Set(seen.get("cy"))).toEqual(new Set([0, 1, 2, 3, 4]));
    expect(new Set(seen.get("zu"))).toEqual(new Set([0]));
  });

  test("a segment read again is masked anew", () => {
    const one = memoryDataset({ af: { train: 568 } });
    const stream = createExampleStream(one, { ...config, inputLength: 512, batchSize: 1 });
    const [first, second] = [stream.batch(0), stream.batch(1)];
    expect(first.inputs).not.toEqual(second.inputs);
    expect(uncorrupt(first.inputs, first.targets, one.vocabulary)).toEqual(
      uncorrupt(second.inputs, second.targets, one.vocabulary),
    );
  });

  test("epochs are the examples really given over the segments there are", () => {
    const stream = createExampleStream(dataset, { ...config, mixing: { strategy: "temperature" } });
    const counts = stream.languages.map(() => 0);
    for (let step = 0; step < 50; step++) for (const language of stream.batch(step).languages) counts[language]++;
    const segments = [143, 11, 5, 1];
    expect([...stream.epochs(50)]).toEqual(counts.map((count, language) => count / segments[language]));
    expect([...stream.epochs(0)]).toEqual([0, 0, 0, 0]);
  });

  test("the stream does not depend on the order languages are asked for, nor on asking for all", () => {
    const all = createExampleStream(dataset, config).batch(5);
    const asked = createExampleStream(dataset, { ...config, languages: ["zu", "cy", "am", "af", "am"] }).batch(5);
    expect(asked).toEqual(all);
  });

  test("only the languages asked for", () => {
    const stream = createExampleStream(dataset, { ...config, languages: ["cy"] });
    expect(stream.languages).toEqual(["cy"]);
    expect([...stream.probabilities]).toEqual([1]);
  });

  test("the seed changes order and masks", () => {
    expect(createExampleStream(dataset, { ...config, seed: 18 }).batch(0)).not.toEqual(
      createExampleStream(dataset, config).batch(0),
    );
  });
});

describe("what createExampleStream refuses", () => {
  test("a language the dataset lacks, with the nearest it has", () => {
    expect(() => createExampleStream(dataset, { ...config, languages: ["afr"] })).toThrow(
      expect.objectContaining({ exitCode: 2, hint: expect.stringContaining('"af"') }),
    );
  });

  test("more masked spans than sentinels, at configuration time", () => {
    expect(() => createExampleStream(dataset, { ...config, inputLength: 2048 })).toThrow(
      expect.objectContaining({ code: "vocabulary-sentinels-too-few" }),
    );
    const few = memoryDataset({ af: { train: 1000 } }, memoryVocabulary(1000, 2));
    expect(() => createExampleStream(few, config)).toThrow(
      expect.objectContaining({ code: "vocabulary-sentinels-too-few" }),
    );
  });

  test.each([0, -1, 1.5, 2 ** 40])("a batch size of %d", (batchSize) => {
    expect(() => createExampleStream(dataset, { ...config, batchSize })).toThrow(/batch/);
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 53])("a step of %d", (step) => {
    expect(() => createExampleStream(dataset, config).batch(step)).toThrow(
      expect.objectContaining({ code: "step-invalid" }),
    );
  });

  test("languages without a usable token: named in a warning, or in an error where they were asked for", () => {
    const sparse = memoryDataset({ af: { train: 100 }, ny: { train: 1 }, xh: { train: 0 } });
    const warnings: string[] = [];
    const log: Log = { info: () => undefined, warn: (message) => void warnings.push(message) };
    expect(createExampleStream(sparse, config, log).languages).toEqual(["af"]);
    expect(warnings).toEqual([expect.stringMatching(/ny, xh$/)]);
    expect(() => createExampleStream(sparse, { ...config, languages: ["af", "ny"] })).toThrow(
      expect.objectContaining({ code: "language-without-text" }),
    );
    expect(() => createExampleStream(memoryDataset({ xh: { train: 0 } }), config)).toThrow(
      expect.objectContaining({ code: "dataset-empty" }),
    );
  });
});
