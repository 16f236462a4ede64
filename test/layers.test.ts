import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const src = fileURLToPath(new URL("../src", import.meta.url));

/** What each folder may import, besides itself: lower layers first, and no import runs upwards. */
const layers: Record<string, string[]> = {
  base: [],
  corpus: ["base"],
  run: ["base"],
  analysis: ["base", "run"],
  ops: ["base"],
  backends: ["base", "ops"],
  vocab: ["base", "corpus"],
  dataset: ["base", "analysis", "corpus", "vocab"],
  stream: ["base", "analysis", "corpus", "vocab", "dataset"],
  model: ["base", "ops", "backends"],
  distributed: ["base", "ops", "backends", "model"],
  eval: ["base", "run", "corpus", "vocab", "dataset", "stream", "ops", "model", "backends"],
  plan: ["base", "analysis", "corpus", "vocab", "dataset", "stream", "ops", "model", "backends", "distributed"],
  train: [
    "base",
    "run",
    "corpus",
    "vocab",
    "dataset",
    "stream",
    "ops",
    "model",
    "backends",
    "distributed",
    "eval",
    "plan",
  ],
  report: ["base", "corpus", "run", "analysis"],
  study: ["base", "corpus", "dataset", "run", "analysis", "train", "report"],
};
const all = Object.keys(layers);
layers.cli = all;
layers.commands = [...all, "cli"];

/** A folder's files at most, beside its subfolders: what one can take in at a glance. Tests are not counted; of commands there are more. */
const maxFiles = 14;
const isExempt = (folder: string): boolean => folder === join(src, "commands");

const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
  .map((file) => join(src, file));

function importsOf(file: string): string[] {
  const text = readFileSync(file, "utf8");
  const specifiers = [...text.matchAll(/(?:from|import)\s*\(?\s*"(\.{1,2}\/[^"]+)"/g)].map((match) => match[1]);
  return specifiers.map((specifier) => resolve(dirname(file), specifier.replace(/\.js$/, ".ts")));
}

const folderOf = (file: string): string => relative(src, file).split(/[\\/]/)[0];

describe("the layers of src", () => {
  test("every folder is in a layer", () => {
    expect(new Set(files.map(folderOf))).toEqual(new Set(Object.keys(layers)));
  });

  test("no import runs upwards", () => {
    const upwards = files.flatMap((file) =>
      importsOf(file)
        .filter((target) => folderOf(target) !== folderOf(file) && !layers[folderOf(file)].includes(folderOf(target)))
        .map((target) => `${relative(src, file)} -> ${relative(src, target)}`),
    );
    expect(upwards).toEqual([]);
  });

  test("a folder holds what one can take in at a glance", () => {
    const counts = new Map<string, number>();
    for (const file of files) counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1);
    const full = [...counts].filter(([folder, count]) => count > maxFiles && !isExempt(folder));
    expect(full.map(([folder, count]) => `${relative(src, folder)}: ${count}`)).toEqual([]);
  });

  test("no import runs in a circle", () => {
    const state = new Map<string, "open" | "done">();
    const circles: string[] = [];
    const visit = (file: string, path: string[]): void => {
      if (state.get(file) === "done") return;
      if (state.get(file) === "open") {
        circles.push([...path.slice(path.indexOf(file)), file].map((f) => relative(src, f)).join(" -> "));
        return;
      }
      state.set(file, "open");
      for (const target of importsOf(file)) visit(target, [...path, file]);
      state.set(file, "done");
    };
    for (const file of files) visit(file, []);
    expect(circles).toEqual([]);
  });
});
