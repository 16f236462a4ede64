import { fileURLToPath } from "node:url";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readModelFile } from "../sentencepiece/modelFile.js";
import { unknownRunCollapser } from "./collapseUnknownRuns.js";
import { createLibraryEncoder } from "./libraryEncoder.js";

const path = (name: string): string =>
  fileURLToPath(new URL(`../../../test/fixtures/vocabularies/${name}.model`, import.meta.url));

describe.each(["bpe", "word", "char"])("long unknown runs of a %s model", (type) => {
  it("become short ones of the same ids", async () => {
    const collapse = unknownRunCollapser(readModelFile(path(type)))!;
    const encoder = await createLibraryEncoder(path(type), { collapseRuns: false });
    const run = fc.tuple(fc.constantFrom("你", "你好", "你 好", "ж", "a", " "), fc.integer({ min: 1, max: 400 }));
    const text = fc.array(
      fc.oneof(
        run.map(([one, times]) => one.repeat(times)),
        fc.constantFrom("free", " ", "are", "½"),
      ),
    );
    await fc.assert(
      fc.asyncProperty(text, async (parts) => {
        const whole = Buffer.from(parts.join(""));
        const ids = [...encoder.encode(whole)];
        expect([...encoder.encode(collapse(whole))]).toEqual(ids);
      }),
      { seed: 7, numRuns: 150 },
    );
  });

  it("shrinks what would take the encoder hours", () => {
    const collapse = unknownRunCollapser(readModelFile(path(type)))!;
    const words = type === "word" ? "你好 " : "你好";
    expect(collapse(Buffer.from(`free ${words.repeat(300_000)} are`)).length).toBeLessThan(400);
    const plain = Buffer.from("All human beings are born free and equal");
    expect(collapse(plain)).toBe(plain);
  });
});

it("is not needed where unknown characters are spelt in bytes", () => {
  const sample = fileURLToPath(new URL("../../../vocab/sample.model", import.meta.url));
  expect(unknownRunCollapser(readModelFile(sample))).toBeUndefined();
});
