import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import {
  filesBelow,
  line,
  model,
  mswitch,
  preprocess,
  snapshot,
  text,
  writeCorpus,
  writeShard,
} from "./preprocessRuns.js";

let dir: string;
let corpus: string;
let undisturbed: Record<string, string>;
const args = (out: string): string[] => [
  "--source",
  corpus,
  "--vocab",
  model,
  "--out",
  out,
  "--workers",
  "2",
  "--json",
];
const unfinished = (out: string): string[] => filesBelow(out).filter((name) => name.includes(".tmp-"));

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "mswitch-disk-"));
  corpus = join(dir, "corpus");
  await writeCorpus(corpus, ["af", "zh"], { shards: 2, documents: 12, words: 60 });
  const large = Array.from({ length: 300 }, (_, i) => line(text(i, 400)));
  await writeShard(corpus, ["am", "train", 0, 1], large);
  const out = join(dir, "undisturbed");
  expect(await preprocess(args(out))).toMatchObject({ code: 0 });
  undisturbed = snapshot(out);
});
afterAll(() => rm(dir, { recursive: true }));

it("ends with one error where the system takes no more of a file, keeps what was finished, and goes on later", async () => {
  const out = join(dir, "limited");
  await preprocess([...args(out), "--languages", "af"]);
  // No file above so many KiB; the vocabulary's copy must fit.
  const limit = Math.ceil(statSync(model).size / 1024) + 1;
  const { code, stdout } = await preprocess(args(out), { shell: `trap '' XFSZ; ulimit -f ${limit}` });
  expect(JSON.parse(stdout).error).toMatchObject({ what: "the output cannot be written", where: out });
  expect(code).toBe(1);
  expect(unfinished(out)).toEqual([]);
  const next = await preprocess(args(out));
  expect(JSON.parse(next.stdout).skipped).toBeGreaterThanOrEqual(3);
  expect(snapshot(out)).toEqual(undisturbed);
});

const mounted: string[] = [];
afterEach(() => {
  for (const place of mounted.splice(0)) spawnSync("umount", [place]);
});

/** Mounts a file system in memory of so many KiB, or answers why that cannot be. */
function mountSmall(place: string, kibibytes: number): string | undefined {
  mkdirSync(place, { recursive: true });
  const { status, stderr, error } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${kibibytes}k`, "tmpfs", place]);
  if (status !== 0) return `no tmpfs can be mounted: ${error?.message ?? stderr.toString().trim()}`;
  mounted.push(place);
  return undefined;
}

it.for([0.02, 0.5, 0.97])(
  "ends with one error on a disk that holds %f of it, and completes once there is room",
  async (share, ctx) => {
    const place = join(dir, `disk-${share}`);
    const sizes = filesBelow(join(dir, "undisturbed")).map((name) => {
      return Math.ceil(readFileSync(join(dir, "undisturbed", name)).length / 4096) * 4;
    });
    const vocabulary = Math.ceil(statSync(model).size / 4096) * 4;
    const tokens = sizes.reduce((sum, size) => sum + size, 0) - vocabulary;
    const refused = mountSmall(place, vocabulary + Math.ceil(share * tokens));
    if (refused !== undefined) return ctx.skip(refused);
    const out = join(place, "tokens");
    const full = await preprocess(args(out));
    expect(full.code).toBe(1);
    expect(JSON.parse(full.stdout).error).toMatchObject({
      what: "the disk is full",
      where: out,
      why: expect.stringContaining("ENOSPC"),
      hint: "make room and run the same command again: what was finished is kept",
    });
    expect(unfinished(out)).toEqual([]);
    spawnSync("mount", ["-o", "remount,size=100m", place]);
    expect(await preprocess(args(out))).toMatchObject({ code: 0 });
    expect(snapshot(out)).toEqual(undisturbed);
  },
);

it("vocab train ends with one error on a full disk, and leaves nothing there", async (ctx) => {
  const place = join(dir, "disk-vocabulary");
  const refused = mountSmall(place, 8);
  if (refused !== undefined) return ctx.skip(refused);
  const bin = join(dir, "bin");
  mkdirSync(bin);
  writeFileSync(join(bin, "spm_train"), "#!/bin/sh\necho sentencepiece 9.9.9\n", { mode: 0o755 });
  const out = join(place, "my.model");
  const { code, stdout } = await mswitch(
    ["vocab", "train", "--source", corpus, "--size", "300", "--out", out, "--json"],
    {
      shell: `unset MSWITCH_PYTHON; PATH="${bin}:$PATH"`,
    },
  );
  expect(code).toBe(1);
  expect(JSON.parse(stdout).error).toMatchObject({ code: "disk-full", where: place });
  expect(filesBelow(place)).toEqual([]);
});
