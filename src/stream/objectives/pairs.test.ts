import { describe, expect, it } from "vitest";
import { memoryDataset, memoryVocabulary } from "../../../test/memoryDataset.js";
import type { TokenDataset } from "../../dataset/read/tokenDataset.js";
import { createExampleStream } from "../createExampleStream.js";
import { validationExamples } from "../validationExamples.js";
import { exampleSource } from "./exampleSource.js";
import { countTruncated, pairIndex } from "./pairs.js";

type Pair = [inputs: number[], targets: number[]];

/** A dataset of pairs in memory: both splits of each language hold the same rows. */
function pairDataset(rows: Record<string, Pair[]>): TokenDataset {
  const eos = memoryVocabulary().eosId;
  const ids = Object.fromEntries(
    Object.entries(rows).map(([code, pairs]) => [code, pairs.flatMap(([a, b]) => [...a, eos, ...b, eos])]),
  );
  const sizes = Object.entries(rows).map(([code, pairs]): [string, { train: number; validation: number }] => [
    code,
    { train: pairs.length, validation: pairs.length },
  ]);
  const dataset = memoryDataset(Object.fromEntries(sizes));
  return {
    ...dataset,
    manifest: { ...dataset.manifest, content: "pairs" },
    run: (language, split) => ({
      ...{ language, split, tokens: ids[language].length, documents: rows[language].length },
      read(offset, out) {
        out.set(ids[language].slice(offset, offset + out.length));
      },
    }),
  };
}

const many = (count: number, first: number): Pair[] =>
  Array.from({ length: count }, (_, i) => [[first + i, 5], [first + i]]);
const shape = { objective: "pairs", inputLength: 4, targetLength: 3 } as const;
const config = { ...shape, seed: 3, batchSize: 4, mixing: { strategy: "uniform" } } as const;

describe("pairs", () => {
  it("fill their rows: ids, the end of the sequence, padding; too long ones are cut before the end and counted", () => {
    const dataset = pairDataset({
      "spell.aa": [
        [[10, 11], [20]],
        [
          [10, 11, 12, 13, 14],
          [20, 21],
        ],
        [[10], [20, 21, 22, 23]],
        [[], []],
      ],
    });
    const { inputs, targets, lengths } = validationExamples(dataset, "spell.aa", { ...shape, examples: 4 });
    expect(lengths).toMatchObject({ inputs: 4, targets: 3 });
    expect([...inputs]).toEqual([10, 11, 1, 0, 10, 11, 12, 1, 10, 1, 0, 0, 1, 0, 0, 0]);
    expect([...targets]).toEqual([20, 1, 0, 20, 21, 1, 20, 21, 1, 1, 0, 0]);
    expect(countTruncated(pairIndex(dataset, "spell.aa", "train"), lengths)).toEqual({
      examples: 2,
      inputs: 1,
      targets: 1,
    });
  });

  it("are a pure function of the step, each once an epoch and in another order the next", () => {
    const dataset = pairDataset({ "spell.aa": many(8, 100), "spell.bb": many(8, 200) });
    const stream = createExampleStream(dataset, config);
    const seen = (from: number, to: number): number[] =>
      Array.from({ length: to - from }, (_, i) => stream.batch(from + i)).flatMap(({ targets }) =>
        [0, 3, 6, 9].map((at) => targets[at]),
      );
    const all = [...many(8, 100), ...many(8, 200)].map(([, [first]]) => first);
    const byValue = (a: number, b: number): number => a - b;
    const [one, two] = [seen(0, 4), seen(4, 8)];
    // Schedules give each language its share of a long stretch, not of every four batches.
    expect(new Set([...seen(0, 40)]).size).toBe(16);
    expect([...new Set([...one, ...two])].every((id) => all.includes(id))).toBe(true);
    expect(one).not.toEqual(two);
    const again = createExampleStream(dataset, config);
    expect(again.batch(7)).toEqual(stream.batch(7));
    const first = (language: number): number[] =>
      Array.from({ length: 20 }, (_, i) => stream.batch(i))
        .flatMap(({ targets, languages }) =>
          [0, 1, 2, 3].filter((row) => languages[row] === language).map((row) => targets[3 * row]),
        )
        .slice(0, 8);
    expect(first(0).sort(byValue)).toEqual(all.slice(0, 8));
  });

  it("are refused as text, and text as pairs; and rows that are no pairs", () => {
    const pairs = pairDataset({ "spell.aa": many(4, 100) });
    const text = memoryDataset({ aa: { train: 500 } });
    const { objective: _, ...asText } = config;
    const refused = expect.objectContaining({ code: "dataset-objective-mismatch" });
    expect(() => createExampleStream(pairs, asText)).toThrow(refused);
    expect(() => createExampleStream(text, config)).toThrow(refused);
    const damaged: TokenDataset = { ...text, manifest: { ...text.manifest, content: "pairs" } };
    expect(() => createExampleStream(damaged, config).batch(0)).toThrow(
      expect.objectContaining({ code: "dataset-damaged" }),
    );
  });

  it("packed: as many in a row as fit, each once in an epoch, cut where one is longer than a row", () => {
    const lengths = (i: number): [number, number] => [1 + (i % 5), 1 + ((3 * i) % 7)];
    const pairs = Array.from({ length: 40 }, (_, i): Pair => {
      const [inputs, targets] = lengths(i);
      return [new Array<number>(inputs).fill(10 + i), new Array<number>(targets).fill(100 + i)];
    });
    pairs.push([new Array<number>(30).fill(90), [91]]);
    const dataset = pairDataset({ "spell.aa": pairs });
    const packed = { ...config, inputLength: 12, targetLength: 14, packing: true, batchSize: 1 } as const;
    const stream = createExampleStream(dataset, packed);
    const rows = exampleSource(dataset, "train", packed).count("spell.aa");
    expect(rows).toBeLessThan(25);
    const seen: number[] = [];
    const cut = (row: Int32Array): number[][] => {
      const ids = [...row];
      const parts: number[][] = [];
      while (ids.includes(1)) parts.push(ids.splice(0, ids.indexOf(1) + 1));
      expect(ids.every((id) => id === 0)).toBe(true);
      return parts;
    };
    for (let step = 0; step < rows; step++) {
      const { inputs, targets, endId } = stream.batch(step);
      expect(endId).toBe(1);
      const [sources, answers] = [cut(inputs), cut(targets)];
      expect(answers.length).toBe(sources.length);
      for (const [n, source] of sources.entries()) {
        if (source[0] === 90) {
          expect([source.length, answers[n]]).toEqual([12, [91, 1]]);
          continue;
        }
        seen.push(source[0] - 10);
        expect(source).toEqual([...pairs[source[0] - 10][0], 1]);
        expect(answers[n]).toEqual([...pairs[source[0] - 10][1], 1]);
      }
    }
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => i));
    expect(stream.epochs(rows)[0]).toBe(1);
    // A pure function of the step, another order for another seed, and evaluation is not packed.
    expect(createExampleStream(dataset, packed).batch(7)).toEqual(stream.batch(7));
    const orderOf = (seed: number): string =>
      Array.from(
        { length: rows },
        (_, step) => createExampleStream(dataset, { ...packed, seed }).batch(step).inputs[0],
      ).join();
    expect(orderOf(3)).not.toBe(orderOf(4));
  });
});
