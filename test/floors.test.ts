import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const src = fileURLToPath(new URL("../src", import.meta.url));

/** What each folder may import, besides itself. The ground first; nothing may be imported upwards. */
const floors: Record<string, string[]> = {
  base: [],
  corpus: ["base"],
  ops: ["base"],
  backends: ["base", "ops"],
  vocab: ["base", "corpus"],
  dataset: ["base", "corpus", "vocab"],
  stream: ["base", "corpus", "vocab", "dataset"],
  model: ["base", "ops", "backends"],
  eval: ["base", "corpus", "vocab", "dataset", "stream", "ops", "model", "backends"],
  train: ["base", "corpus", "vocab", "dataset", "stream", "ops", "model", "backends", "eval"],
  report: ["base", "corpus", "eval", "dataset"],
  cli: ["base", "corpus", "vocab", "dataset", "stream", "ops", "model", "backends", "eval", "train", "report"],
  commands: [
    "base",
    "cli",
    "corpus",
    "vocab",
    "dataset",
    "stream",
    "ops",
    "model",
    "backends",
    "eval",
    "train",
    "report",
  ],
};

/** The files that are plain data and arithmetic: all that `report` may take from these folders. */
const plain: Record<string, string[]> = {
  eval: ["runFiles", "readRun", "crossing", "trainClock", "speedup", "summary", "bootstrap"],
  dataset: ["inspectReport"],
};

const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
  .map((file) => join(src, file));

function importsOf(file: string): string[] {
  const text = readFileSync(file, "utf8");
  const specifiers = [...text.matchAll(/(?:from|import)\s*\(?\s*"(\.{1,2}\/[^"]+)"/g)].map((match) => match[1]);
  return specifiers.map((specifier) => resolve(dirname(file), specifier.replace(/\.js$/, ".ts")));
}

const folderOf = (file: string): string => relative(src, file).split(/[\\/]/)[0];

describe("the house's floors", () => {
  test("every folder is on a floor", () => {
    expect(new Set(files.map(folderOf))).toEqual(new Set(Object.keys(floors)));
  });

  test("no import runs upwards", () => {
    const upwards = files.flatMap((file) =>
      importsOf(file)
        .filter((target) => folderOf(target) !== folderOf(file) && !floors[folderOf(file)].includes(folderOf(target)))
        .map((target) => `${relative(src, file)} -> ${relative(src, target)}`),
    );
    expect(upwards).toEqual([]);
  });

  test("report takes only plain data from eval and dataset", () => {
    const heavy = files
      .filter((file) => folderOf(file) === "report")
      .flatMap((file) => importsOf(file))
      .filter((target) => {
        const allowed = plain[folderOf(target)];
        return allowed !== undefined && !allowed.includes(basename(target, ".ts"));
      })
      .map((target) => relative(src, target));
    expect(heavy).toEqual([]);
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
