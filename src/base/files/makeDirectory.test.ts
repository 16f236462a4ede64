import { fork } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeDirectory, requireWritableFile, requireWritableFolder } from "./makeDirectory.js";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mswitch-folder-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

test("makes a folder and those above it, and leaves one that is there", () => {
  const deep = join(folder, "a", "b", "c");
  makeDirectory(deep);
  makeDirectory(deep);
  expect(statSync(deep).isDirectory()).toBe(true);
  expect(() => makeDirectory(tmpdir())).not.toThrow();
});

test.each(["makeDirectory", "requireWritableFolder"])(
  "%s: two processes may call it for the same folders at the same moment",
  async (name) => {
    const program = join(folder, "make.mjs");
    const module = new URL("../../../dist/base/files/makeDirectory.js", import.meta.url).href;
    writeFileSync(
      program,
      `import { ${name} } from ${JSON.stringify(module)};
process.on("message", ({ at, paths }) => {
  try {
    for (const [i, path] of paths.entries()) {
      while (Date.now() < at + 2 * i);
      ${name}(path, "a page");
    }
    process.send("");
  } catch (error) {
    process.send(error.message);
  }
});`,
    );
    const makers = [0, 1].map(() => fork(program));
    try {
      const paths = Array.from({ length: 500 }, (_, i) => join(folder, `${name}-${i}`, "a/b/c/d/e/f/g/h"));
      const at = Date.now() + 500;
      const said = makers.map((maker) => {
        return new Promise((resolve) => {
          maker.once("message", resolve);
          maker.send({ at, paths });
        });
      });
      expect(await Promise.all(said)).toEqual(["", ""]);
    } finally {
      for (const maker of makers) maker.kill();
    }
  },
);

test("asking whether a folder can be written leaves nothing behind", () => {
  const deep = join(folder, "asked", "b");
  requireWritableFolder(deep, "the report");
  expect(existsSync(join(folder, "asked"))).toBe(false);
  makeDirectory(deep);
  requireWritableFolder(deep, "the report");
  expect(statSync(deep).isDirectory()).toBe(true);
});

test("a file without a name is refused as the folder it would lie in", () => {
  expect(() => requireWritableFile("", "the vocabulary", "a.model")).toThrow(
    expect.objectContaining({ code: "output-unusable", hint: "--out a.model" }),
  );
});

test("a file of that name, or on the way, is the system's error", () => {
  const file = join(folder, "file");
  writeFileSync(file, "");
  expect(() => makeDirectory(file)).toThrow(/EEXIST/);
  expect(() => makeDirectory(join(file, "below"))).toThrow(/ENOTDIR/);
});

test.skipIf(!existsSync("/proc/self"))("a place where the system makes no folders ends in its error", () => {
  expect(() => makeDirectory("/proc/mswitch/a/b")).toThrow(/ENOENT.*'\/proc\/mswitch'/);
});
