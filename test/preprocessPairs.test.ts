import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { randomStream } from "../src/base/random.js";
import { verifyDataset } from "../src/dataset/check/verifyDataset.js";
import { preprocess as tokenize } from "../src/dataset/preprocess/preprocess.js";
import { openDataset } from "../src/dataset/read/openDataset.js";
import { validationExamples } from "../src/stream/validationExamples.js";
import { createDecoder } from "../src/vocab/encode/createDecoder.js";
import { finishedFiles } from "./finishedFiles.js";
import { rawFrame } from "./fixtures/zstdFixture.js";
import { filesBelow, model, mswitch, preprocess, snapshot, text } from "./preprocessRuns.js";

let dir: string;
let source: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "mswitch-pairs-"));
  source = join(dir, "tasks");
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const pair = (i: number) => ({ inputs: text(i, 5), targets: text(i + 1, 2) });
const lines = (count: number, first = 0): string[] =>
  Array.from({ length: count }, (_, i) => JSON.stringify(pair(first + i)));

function write(root: string, name: string, content: string | Uint8Array): void {
  mkdirSync(join(root, name, ".."), { recursive: true });
  writeFileSync(join(root, name), content);
}

const options = (root: string, out: string) => ({
  ...{ sources: [root], vocab: model, out: join(dir, out), workers: 2 },
  pairs: { inputs: "inputs", targets: "targets" },
});

describe("preprocess --pairs", () => {
  it("takes lines of JSON and tables, packed or not; what is bad is set aside with file, line and cause", async () => {
    const root = join(dir, "kinds");
    const bad = ['{"inputs": "a"}', "no JSON", '{"inputs": "a", "targets": 3}', '{"inputs": "", "targets": "b"}'];
    write(root, "spell/af/train.jsonl", `${[...lines(3), ...bad, ...lines(2, 9)].join("\n")}\n`);
    write(root, "spell/af/validation.jsonl.gz", gzipSync(`${lines(4).join("\n")}\n`));
    write(root, "spell/sw/train.csv", 'targets,inputs,n\n"two, three",zwei,1\nonly one column\n');
    write(root, "topic/sw/train.tsv.gz", gzipSync("inputs\ttargets\nmaji\twater\n"));
    write(root, "topic/sw/test.jsonl", `${lines(2).join("\n")}\n`);
    write(root, "topic/am/train.jsonl.zst", rawFrame(Buffer.from(`${lines(2).join("\n")}\n`)));
    const summary = await tokenize(options(root, "kinds-out"));
    expect(summary).toMatchObject({
      rejected: { "empty-text": 1, "invalid-json": 1, "missing-text": 2, "text-not-string": 1 },
      failed: 0,
    });
    expect(summary.languages["spell.af"]).toMatchObject({ documents: 9, rejected: 4 });
    const quarantine = readFileSync(join(dir, "kinds-out/quarantine.jsonl"), "utf8").trim().split("\n");
    expect(quarantine.map((line) => JSON.parse(line))).toContainEqual({
      file: join(root, "spell/af/train.jsonl"),
      line: 4,
      cause: "missing-text",
      detail: "the object has no field targets; --targets-field names another: inputs",
    });
    expect(quarantine.map((line) => JSON.parse(line).line)).toEqual([4, 5, 6, 7, 3]);
    expect((await verifyDataset(join(dir, "kinds-out"))).faults).toEqual([]);

    const dataset = await openDataset(join(dir, "kinds-out"));
    expect(dataset.manifest.content).toBe("pairs");
    expect(dataset.manifest.languages["topic.sw"].test?.documents).toBe(2);
    const shape = { objective: "pairs", inputLength: 64, targetLength: 64 } as const;
    const { inputs, targets } = validationExamples(dataset, "spell.af", { ...shape, examples: 4 });
    const decode = createDecoder(model);
    const row = (ids: Int32Array, i: number): string =>
      decode.decode(ids.subarray(64 * i, 64 * (i + 1)).filter((id) => id > 1));
    expect([0, 1, 2, 3].map((i) => row(targets, i))).toEqual([0, 1, 2, 3].map((i) => pair(i).targets));
    expect(row(inputs, 2)).toBe(pair(2).inputs);
    dataset.close();

    // Done is done; another field is another dataset's content.
    expect(await tokenize(options(root, "kinds-out"))).toMatchObject({ tokenized: 0 });
  });

  it("refuses what cannot be told apart or is none", async () => {
    const root = join(dir, "refused");
    write(root, "spell/af/train.jsonl", `${lines(3).join("\n")}\n`);
    write(root, "spell/af/train.csv", "inputs,targets\na,b\n");
    await expect(tokenize(options(root, "r1"))).rejects.toMatchObject({ code: "duplicate-shard" });
    rmSync(join(root, "spell/af/train.csv"));
    write(root, "spell/xx_yy/train.jsonl", "\n");
    await expect(tokenize(options(root, "r2"))).rejects.toMatchObject({ code: "unknown-language" });
    rmSync(join(root, "spell/xx_yy"), { recursive: true });
    write(root, "a task/af/train.jsonl", "\n");
    await expect(tokenize(options(root, "r3"))).rejects.toMatchObject({ code: "task-name-invalid" });
    rmSync(join(root, "a task"), { recursive: true });
    await expect(tokenize({ ...options(root, "r4"), tasks: ["topic"] })).rejects.toMatchObject({
      code: "no-matching-shards",
    });
    await tokenize(options(root, "r5"));
    write(dir, "own/a.txt", "a text\n");
    const two = { ...options(root, "r6"), sources: [root, join(dir, "own")] };
    await expect(tokenize(two)).rejects.toMatchObject({ code: "source-empty", where: join(dir, "own") });
    await expect(tokenize({ ...two, sources: [root, root] })).resolves.toMatchObject({ tokenized: 1, failed: 0 });
    symlinkSync("nowhere", join(root, "spell/af/test.jsonl"));
    expect(await tokenize(options(root, "r7"))).toMatchObject({ tokenized: 1, failed: 1 });
    const { pairs: _, ...asText } = options(join(dir, "own"), "r5");
    await expect(tokenize({ ...asText, language: "af" })).rejects.toMatchObject({ code: "dataset-content-mismatch" });
  });

  it("takes the tasks and languages that are named, and says of which there is nothing", async () => {
    const root = join(dir, "named");
    for (const language of ["af", "sw", "am"]) {
      write(root, `spell/${language}/train.jsonl`, lines(2).join("\n"));
      write(root, `topic/${language}/train.jsonl`, lines(2).join("\n"));
    }
    const named = ["--tasks", "spell, other", "--languages", "af, sw, xh"];
    const args = ["--pairs", "--source", root, "--vocab", model, "--out", join(dir, "named-out"), ...named, "--json"];
    const { code, stdout, stderr } = await preprocess(args);
    expect(code, stderr).toBe(0);
    expect(Object.keys(JSON.parse(stdout).languages)).toEqual(["spell.af", "spell.sw"]);
    expect(stderr).toContain("there is no task other");
    expect(stderr).toContain("there are no pairs of xh");
    const shown = await mswitch(["dataset", "inspect", join(dir, "named-out"), "--language", "spell.sw", "--json"]);
    expect(JSON.parse(shown.stdout).documents).toHaveLength(2);
  });

  it("killed at random moments and started again, ends with the same bytes and does nothing twice", async () => {
    for (const language of ["af", "am", "sw"]) {
      for (const split of ["train", "validation", "test"]) {
        write(
          source,
          `spell/${language}/${split}.jsonl`,
          `${lines(split === "train" ? 20_000 : 200).join("\n")}\nbad\n`,
        );
      }
    }
    const args = (out: string) => ["--pairs", "--source", source, "--vocab", model, "--out", out, "--workers", "2"];
    const undisturbed = join(dir, "undisturbed");
    const start = Date.now();
    expect(await preprocess(args(undisturbed))).toMatchObject({ code: 3 });
    const duration = Date.now() - start;
    expect(filesBelow(undisturbed)).toHaveLength(2 * 9 + 3);
    const random = randomStream(Date.now(), "kill");
    const out = join(dir, "killed");
    for (let killed = 0; killed < 4; killed++) {
      const done = finishedFiles(out);
      await preprocess(args(out), { kill: sleep(duration * random.float()) });
      expect(finishedFiles(out)).toMatchObject(done);
    }
    expect(await preprocess(args(out))).toMatchObject({ code: 3 });
    expect(snapshot(out)).toEqual(snapshot(undisturbed));
  }, 120_000);
});
