import { expect, test } from "vitest";
import { memoryDataset } from "../../test/memoryDataset.js";
import { mixingPreview } from "./mixingPreview.js";

test("previews every strategy as the stream would draw, of languages with training text", () => {
  const { manifest } = memoryDataset({ af: { train: 1000 }, am: { train: 3000 }, zu: { train: 0, validation: 50 } });
  const { codes, tokens, budgets, strategies } = mixingPreview(manifest);
  expect(codes).toEqual(["af", "am"]);
  expect(tokens).toEqual([1000, 3000]);
  expect(budgets).toEqual([4000, 16_000, 64_000]);
  for (const { shares, yaml } of strategies) {
    expect(shares).toHaveLength(3);
    expect(yaml).toHaveLength(3);
    for (const share of shares) expect(share.reduce((a, b) => a + b)).toBeCloseTo(1, 12);
  }
  const proportional = strategies.find(({ label }) => label.startsWith("proportional"))!;
  expect(proportional.shares[0]).toEqual([0.25, 0.75]);
  // Four epochs of everything are the whole budget: UniMax falls back to the sizes.
  const unimax = strategies.find(({ label }) => label.startsWith("UniMax"))!;
  expect(unimax.shares[0]).toEqual([0.5, 0.5]);
  expect(unimax.shares[1]).toEqual([0.25, 0.75]);
  expect(unimax.yaml[1]).toBe("{ strategy: unimax, maxEpochs: 4, budgetTokens: 16000 }");
});
