import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { datasetFormat, type ShardRecord } from "./manifest.js";
import { RecordIndex } from "./recordIndex.js";
import { commitShard, recordPath } from "./shardRecord.js";

let out: string;
beforeEach(() => {
  out = mkdtempSync(join(tmpdir(), "mswitch-records-"));
});
afterEach(() => rmSync(out, { recursive: true, force: true }));

const hash = "0".repeat(64);
const record: ShardRecord = {
  format: datasetFormat,
  source: { name: "a.txt", path: "a.txt", bytes: 1, sha256: hash },
  ...{ language: "hr", split: "train", index: 0, count: 1, vocabulary: hash, options: {} },
  ...{ documents: 1, tokens: 1, textBytes: 1, rejected: {}, rejections: [] },
  output: { file: "hr/train-00000-of-00001.arrow", bytes: 0, sha256: hash },
};

async function commit(): Promise<void> {
  mkdirSync(join(out, "hr"), { recursive: true });
  writeFileSync(join(out, "whole"), "");
  await commitShard(out, record, join(out, "whole"));
}

test("a record that another process takes away to write its own is found again", async () => {
  await commit();
  const mine = await RecordIndex.open(out);
  expect(mine.get(record)).toMatchObject({ documents: 1 });
  rmSync(recordPath(out, record));
  await mine.add(record);
  await mine.refresh();
  expect(mine.get(record)).toBeUndefined();
  await commit();
  await mine.refresh();
  expect(mine.get(record)).toMatchObject({ documents: 1 });
});

test("what a file manager leaves among the records is none", async () => {
  await commit();
  writeFileSync(join(out, ".records", ".DS_Store"), "");
  writeFileSync(join(out, ".records", "hr", ".DS_Store"), "");
  const index = await RecordIndex.open(out);
  expect([...index.inOrder()].map(([path]) => path)).toEqual([recordPath(out, record)]);
});
