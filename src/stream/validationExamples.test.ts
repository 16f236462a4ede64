import { describe, expect, test } from "vitest";
import { memoryDataset, memoryToken } from "../../test/memoryDataset.js";
import { uncorrupt } from "./objectives/spanCorruption.js";
import { hashValidationExamples, validationExamples } from "./validationExamples.js";

const dataset = memoryDataset({
  af: { train: 10, validation: 70 * 40 },
  am: { train: 10, validation: 70 * 2 + 30 },
  zu: { train: 10, validation: 1 },
});
const options = { examples: 8, inputLength: 64 };

function originals(language: string): number[][] {
  const { batchSize, inputs, targets } = validationExamples(dataset, language, options);
  return Array.from({ length: batchSize }, (_, row) =>
    uncorrupt(
      inputs.subarray(row * 64, (row + 1) * 64),
      targets.subarray(row * 14, (row + 1) * 14),
      dataset.vocabulary,
    ),
  );
}

describe("validationExamples", () => {
  test("are the same every time", () => {
    expect(validationExamples(dataset, "af", options)).toEqual(validationExamples(dataset, "af", options));
    expect(validationExamples(dataset, "af", { ...options, seed: 1 })).not.toEqual(
      validationExamples(dataset, "af", options),
    );
  });

  test("are spread evenly over the validation run", () => {
    const starts = [0, 5, 10, 15, 20, 25, 30, 35].map((segment) => segment * 70);
    expect(originals("af")).toEqual(
      starts.map((start) => Array.from({ length: 70 }, (_, i) => memoryToken("af", "validation", start + i))),
    );
  });

  test("are masked as the run is", () => {
    const { lengths, targets } = validationExamples(dataset, "af", { ...options, noiseDensity: 0.5 });
    expect(lengths).toEqual({ inputs: 64, tokens: 95, targets: 65 });
    expect(targets.every((id) => id !== 0)).toBe(true);
  });

  test("are all of a small language's, the short last one included", () => {
    expect(originals("am").map((tokens) => tokens.length)).toEqual([70, 70, 30]);
  });

  test("cannot be made of one token", () => {
    expect(() => validationExamples(dataset, "zu", options)).toThrow(
      expect.objectContaining({ code: "language-without-text" }),
    );
  });
});

describe("hashValidationExamples", () => {
  const hash = (examples: number, seed = 0) =>
    hashValidationExamples(
      ["af", "am"].map((code) => validationExamples(dataset, code, { ...options, examples, seed })),
    );

  test("is stable across runs and machines", () => {
    expect(hash(8)).toBe(hash(8));
    expect(hash(8)).toMatchInlineSnapshot(`"a3d6fc5b5f9fc54dc4a8944f66555b8f447f5854ad099104ce97064075b60427"`);
  });

  test("tells other examples apart", () => {
    expect(new Set([hash(8), hash(7), hash(8, 1)]).size).toBe(3);
  });
});
