import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MswitchError } from "../../base/errors.js";
import { discoverShards } from "./discoverShards.js";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "mswitch-discover-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function fill(...names: string[]): Promise<void> {
  for (const name of names) {
    await mkdir(join(root, name, ".."), { recursive: true });
    await writeFile(join(root, name), "12345");
  }
}

async function failure(sources: string[], options = {}): Promise<MswitchError> {
  const error: unknown = await discoverShards(sources, options).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(MswitchError);
  expect((error as MswitchError).exitCode).toBe(2);
  expect((error as MswitchError).hint).toBeTruthy();
  return error as MswitchError;
}

/** What is told of the sources. */
async function told(sources: string[], options = {}): Promise<string> {
  const lines: string[] = [];
  const log = { info: (line: string) => void lines.push(line), warn: (line: string) => void lines.push(line) };
  await discoverShards(sources, { ...options, log });
  return lines.join("\n");
}

const train = (code: string, index: number, count: number) =>
  `c4-${code}.tfrecord-${String(index).padStart(5, "0")}-of-${String(count).padStart(5, "0")}.json.gz`;

describe("discoverShards", () => {
  it("finds shards sorted by language, split and index, and passes over other files", async () => {
    await fill(train("zh-Latn", 0, 1), train("zh", 10, 1024), train("zh", 2, 1024), train("zh-validation", 0, 2));
    await fill(
      train("am", 3, 4),
      train("und", 0, 9),
      "LICENSES.md",
      `.${train("am", 0, 4)}.tmp-1`,
      `sub/${train("am", 1, 4)}`,
    );
    const shards = await discoverShards([root]);
    expect(shards.map(({ language, split, index, count }) => [language, split, index, count])).toEqual([
      ["am", "train", 3, 4],
      ["zh", "train", 2, 1024],
      ["zh", "train", 10, 1024],
      ["zh", "validation", 0, 2],
      ["zh-Latn", "train", 0, 1],
    ]);
    expect(shards[0]).toMatchObject({ name: train("am", 3, 4), path: join(root, train("am", 3, 4)), bytes: 5 });
  });

  it("takes files, patterns, languages and splits", async () => {
    await fill(
      train("af", 0, 2),
      train("af", 1, 2),
      train("af-validation", 0, 1),
      train("am", 0, 1),
      train("iw", 0, 1),
    );
    const names = async (sources: string[], options = {}) =>
      (
        await discoverShards(
          sources.map((source) => join(root, source)),
          options,
        )
      ).map((shard) => shard.name);
    expect(await names([train("af", 1, 2)])).toEqual([train("af", 1, 2)]);
    expect(await names(["c4-{am,iw}.*"])).toEqual([train("am", 0, 1), train("iw", 0, 1)]);
    expect(await names(["c4-a?.tfrecord-00000-*"])).toEqual([train("af", 0, 2), train("am", 0, 1)]);
    expect(await names(["."], { languages: ["af"], splits: ["validation"] })).toEqual([train("af-validation", 0, 1)]);
    expect(await names([".", "c4-af*"], { languages: ["af"] })).toHaveLength(3);
  });

  it("lists a shard that cannot be read, for the reader to reject", async () => {
    await fill(train("af", 0, 2));
    await symlink("nowhere", join(root, train("af", 1, 2)));
    expect((await discoverShards([root])).map((shard) => shard.bytes)).toEqual([5, 0]);
  });

  it("refuses a source that is absent, empty or remote", async () => {
    await fill("sub/readme.txt", `und/${train("und", 0, 1)}`);
    expect(await failure([])).toMatchObject({ code: "no-source" });
    expect(await failure([join(root, "nowhere")])).toMatchObject({
      code: "source-unreadable",
      where: join(root, "nowhere"),
    });
    expect(await failure([join(root, "nowhere", "*.gz")])).toMatchObject({
      code: "source-unreadable",
      where: join(root, "nowhere"),
    });
    expect(await failure([join(root, "sub")])).toMatchObject({ code: "source-empty", where: join(root, "sub") });
    expect(await failure([join(root, "sub", "*.gz")])).toMatchObject({ code: "source-empty" });
    expect(await failure([join(root, "sub", "readme.txt")])).toMatchObject({ code: "source-empty" });
    expect((await failure([join(root, "und")])).message).toMatch(/undetermined/);
    expect(await failure([join(root, "*", "c4-*")])).toMatchObject({ code: "source-pattern-invalid" });
    expect(await failure(["s3://bucket/multilingual"])).toMatchObject({ code: "source-not-an-address" });
  });

  it("names the file and the nearest code of an unknown language", async () => {
    await fill(train("af", 0, 1), train("zh-Latin", 0, 1));
    const error = await failure([root], { languages: ["af"] });
    expect(error.where).toBe(join(root, train("zh-Latin", 0, 1)));
    expect(error.code).toBe("unknown-language");
    expect(error.hint).toMatch(/did you mean zh-Latn/);
  });

  it("refuses one shard name in two places, but not one file named twice", async () => {
    await fill(`a/${train("af", 0, 1)}`, `b/${train("af", 0, 1)}`);
    const error = await failure([join(root, "a"), join(root, "b")]);
    expect(error.code).toBe("duplicate-shard");
    expect(error.message).toContain(join(root, "a"));
    expect(error.message).toContain(join(root, "b"));
    expect(await discoverShards([join(root, "a"), join(root, "a", "c4-*")])).toHaveLength(1);
  });

  it("refuses shards that disagree on their number, and numbers beyond it", async () => {
    await fill(train("af", 0, 2), train("af", 1, 3), `am/${train("am", 4, 4)}`);
    expect(await failure([root])).toMatchObject({ code: "shard-counts-differ" });
    expect(await failure([join(root, "am")])).toMatchObject({ code: "shard-number-invalid" });
  });

  it("says what is there when nothing of what was asked for is", async () => {
    await fill(train("af", 0, 1));
    expect(await failure([root], { languages: ["am"] })).toMatchObject({
      code: "no-matching-shards",
      why: expect.stringContaining("af train"),
    });
  });

  it("names what is missing and what it passes over", async () => {
    await fill(train("af", 0, 5), train("af", 3, 5), `${train("af", 1, 5)}.part`, "LICENSE", train("und", 0, 1));
    const said = await told([root], { languages: ["af", "hr"] });
    expect(said).toMatch(/2 files were passed over; 1 of them almost named as a shard: c4-af\S*\.part, LICENSE/);
    expect(said).toMatch(/1 shards of undetermined language/);
    expect(said).toMatch(/no shard of hr. mC4 has no Croatian/);
    expect(said).toMatch(/af train: 2 of 5 shards are there; missing: 1 to 2, 4/);
  });

  it("takes mC4 3.1.0's names, numbered in their order", async () => {
    await fill("c4-af.00008-00009.json.gz", "c4-af.00000-00001.json.gz", "c4-af-validation.00000.json.gz");
    const shards = await discoverShards([root]);
    expect(shards.map(({ name, split, index, count }) => [name, split, index, count])).toEqual([
      ["c4-af.00000-00001.json.gz", "train", 0, 2],
      ["c4-af.00008-00009.json.gz", "train", 1, 2],
      ["c4-af-validation.00000.json.gz", "validation", 0, 1],
    ]);
    expect(await told([root])).toMatch(/af train: part 2 to 7 of mC4 3.1.0 is in no file/);
  });

  it("finds shards in the one folder below that has some, and names several", async () => {
    await fill("README.md", `multilingual/${train("af", 0, 1)}`, "en/c4-train.00000-of-00001.json.gz");
    expect((await discoverShards([root])).map(({ path }) => path)).toEqual([
      join(root, "multilingual", train("af", 0, 1)),
    ]);
    expect(await told([root])).toMatch(/reading those of \S+multilingual/);
    await fill(`other/${train("af", 0, 1)}`);
    expect((await failure([root])).hint).toMatch(/multilingual, \S+other: name one/);
  });

  it("takes any folder called mc4 for a folder, and the public copy only by its address", async () => {
    await fill(`mc4/${train("af", 0, 1)}`);
    const before = process.cwd();
    process.chdir(root);
    try {
      expect(await discoverShards(["mc4"])).toHaveLength(1);
      expect(await failure(["c4"])).toMatchObject({
        code: "source-unreadable",
        hint: expect.stringMatching(/hf:allenai/),
      });
    } finally {
      process.chdir(before);
    }
    expect(await failure(["hf:oscar/oscar"])).toMatchObject({ code: "source-not-an-address" });
    const [shard] = await discoverShards(["hf:allenai/c4"], { languages: ["zu"], splits: ["validation"] });
    expect(shard.path).toMatch(/^https:\/\/huggingface.co\/.*c4-zu-validation/);
  });
});

describe("discoverShards with a language", () => {
  const own = async (options = {}) =>
    (await discoverShards([root], { language: "hr", ...options })).map(({ name, split, index, count }) => [
      name,
      split,
      index,
      count,
    ]);

  it("takes files of every format and name, a validation split by name", async () => {
    await fill("b.txt", "a.parquet", "c.jsonl.zst", "dev.csv.gz", "test.txt", "README.md", ".hidden.txt");
    expect(await own()).toEqual([
      ["a.parquet", "train", 0, 3],
      ["b.txt", "train", 1, 3],
      ["c.jsonl.zst", "train", 2, 3],
      ["dev.csv.gz", "validation", 0, 1],
    ]);
    expect(await told([root], { language: "hr" })).toMatch(/2 files were passed over: README.md, test.txt/);
  });

  it("numbers files as their names say, and shares documents out where no file is for validation", async () => {
    await fill("c4-train.00000-of-01024.json.gz", "c4-train.00007-of-01024.json.gz");
    expect(await own()).toEqual([
      ["c4-train.00000-of-01024.json.gz", "train", 0, 1024],
      ["c4-train.00007-of-01024.json.gz", "train", 7, 1024],
    ]);
    const shards = await discoverShards([root], { language: "hr", validationEvery: 50, textField: "content" });
    expect(shards).toHaveLength(4);
    expect(shards[0]).toMatchObject({ textField: "content", holdOut: { every: 50, held: false } });
    expect(shards[2]).toMatchObject({ split: "validation", holdOut: { every: 50, held: true } });
  });

  it("passes over folders and pipes, whatever their names", async () => {
    await fill("a.txt", "spark.json/part-00000.json");
    spawnSync("mkfifo", [join(root, "pipe.txt")]);
    expect(await own()).toEqual([["a.txt", "train", 0, 1]]);
    expect(await told([root], { language: "hr" })).toMatch(/passed over.*: spark.json, pipe.txt/);
    expect(await failure([join(root, "pipe.txt")], { language: "hr" })).toMatchObject({ code: "source-empty" });
  });

  it("says that shards of other languages are taken as the one that was named", async () => {
    await fill(train("hr", 0, 1));
    expect(await told([root], { language: "hr" })).toBe("");
    await fill(train("af", 0, 1), train("am", 0, 1));
    expect(await told([root], { language: "hr" })).toMatch(/shards of af, am are taken as hr; --languages chooses/);
  });

  it("refuses a source without a file that can be read", async () => {
    await fill("a.pdf", "test.txt");
    expect(await failure([root], { language: "hr" })).toMatchObject({ code: "source-empty" });
    expect(await failure([join(root, "a.pdf")], { language: "hr" })).toMatchObject({ code: "source-empty" });
  });
});
