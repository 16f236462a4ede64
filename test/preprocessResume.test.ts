import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { randomStream } from "../src/base/random.js";
import { finishedFiles } from "./finishedFiles.js";
import { filesBelow, line, model, preprocess, snapshot, text, writeCorpus, writeShard } from "./preprocessRuns.js";

/** `npm run soak` asks for more. */
const kills = Number(process.env.MSWITCH_KILLS ?? 5);

let dir: string;
let corpus: string;
let undisturbed: Record<string, string>;
/** Milliseconds of the undisturbed run. */
let duration: number;
const args = (out: string, workers: number): string[] => {
  return ["--source", corpus, "--vocab", model, "--out", out, "--workers", String(workers)];
};

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "mswitch-resume-"));
  corpus = join(dir, "corpus");
  await writeCorpus(corpus, ["af", "am", "ar", "iw"], { shards: 5, documents: 12, words: 80 });
  // One that takes long enough to be met amid it.
  const texts = Array.from({ length: 50 }, (_, i) => line(text(i, 100)));
  await writeShard(
    corpus,
    ["zu", "train", 0, 1],
    Array.from({ length: 30_000 }, (_, i) => texts[i % 50]),
  );
  const bad = ["no JSON", line(text(1, 10)), '{"text": ""}'];
  for (const i of [0, 1, 2]) await writeShard(corpus, ["yo", "train", i, 3], bad);
  const out = join(dir, "undisturbed");
  const start = Date.now();
  expect(await preprocess(args(out, 1))).toMatchObject({ code: 3 });
  duration = Date.now() - start;
  undisturbed = snapshot(out);
  expect(Object.keys(undisturbed)).toHaveLength(2 * (4 * 6 + 3 + 1) + 3);
});
afterAll(() => rm(dir, { recursive: true }));

it.each([2, 4])("gives the same bytes with %d workers as with one", async (workers) => {
  const out = join(dir, `workers-${workers}`);
  await preprocess(args(out, workers));
  expect(snapshot(out)).toEqual(undisturbed);
});

it(`killed at ${kills} random moments, does nothing again that was done, and ends with the same bytes`, async () => {
  const random = randomStream(Date.now(), "kill");
  let killed = 0;
  let metWork = 0;
  let keptShards = 0;
  for (let folder = 0; killed < kills; folder++) {
    const out = join(dir, `killed-${folder}`);
    for (;;) {
      const before = new Set(filesBelow(out));
      const done = finishedFiles(out);
      // Every fourth kill anywhere from the start on, the others while shards are being written.
      const kill =
        killed % 4 === 0 ? sleep(duration * random.float()) : newFile(out).then(() => sleep(250 * random.float()));
      const workers = 1 + random.integer(4);
      const run = await preprocess([...args(out, workers), "--json"], { kill: killed < kills ? kill : undefined });
      // Not even written anew: the same inodes, of the same times.
      expect(finishedFiles(out)).toMatchObject(done);
      keptShards += Object.keys(done).length / 2;
      if (run.code !== null) {
        expect(run, run.stderr).toMatchObject({ code: 3 });
        expect(JSON.parse(run.stdout).skipped).toBe(Object.keys(done).length / 2);
        break;
      }
      killed++;
      // Names, not their number: a run also clears away what the killed one before it left.
      if (filesBelow(out).some((name) => !before.has(name))) metWork++;
    }
    expect(snapshot(out)).toEqual(undisturbed);
  }
  expect(metWork).toBeGreaterThan(kills / 5);
  console.log(`${killed} kills, ${metWork} of them amid shards; ${keptShards} finished shards met again, none redone`);
}, 1_200_000);

it("interrupted, drops what is in hand, says how to go on, and goes on", async () => {
  const out = join(dir, "interrupted");
  const { code, stderr, stdout } = await preprocess(args(out, 2), { kill: newFile(out), signal: "SIGINT" });
  expect(code).toBe(130);
  expect(stdout).toBe("");
  expect(stderr).toMatch(
    /error: .*interrupted: \d+ of 28 shards are done \[interrupted\]\n {2}try: the same command goes on from there/,
  );
  expect(filesBelow(out).filter((name) => name.includes(".tmp-"))).toEqual([]);
  await preprocess(args(out, 2));
  expect(snapshot(out)).toEqual(undisturbed);
});

/** Settles when a shard is begun in a folder, or after ten seconds. */
async function newFile(out: string): Promise<void> {
  const shards = (): string[] => filesBelow(out).filter((name) => name.includes(".arrow"));
  const before = new Set(shards());
  for (let i = 0; i < 1000 && shards().every((name) => before.has(name)); i++) await sleep(10);
}
