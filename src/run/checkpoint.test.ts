import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { writeFileAtomic } from "../base/atomicFile.js";
import {
  listCheckpoints,
  pruneCheckpoints,
  readTrainSeconds,
  removeUnfinished,
  verifyCheckpoint,
  writeCheckpoint,
} from "./checkpoint.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mswitch-checkpoints-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const save = (step: number) =>
  writeCheckpoint(folder, { step, seed: 7, configuration: "c" }, undefined, async (directory) => {
    await writeFileAtomic(join(directory, "model.safetensors"), `weights of ${step}`);
  });

test("what was written is found and verified", async () => {
  const written = await save(1000);
  expect(written.directory).toBe(join(folder, "step-00001000"));
  expect(readdirSync(written.directory).sort()).toEqual(["complete.json", "model.safetensors", "state.json"]);
  expect(await listCheckpoints(folder)).toEqual([written]);
  expect(await verifyCheckpoint(written)).toEqual({ format: 1, step: 1000, seed: 7, configuration: "c" });
});

test("the same state gives the same bytes", async () => {
  const bytes = (): Buffer[] =>
    readdirSync(join(folder, "step-00000001")).map((name) => readFileSync(join(folder, "step-00000001", name)));
  await save(1);
  const first = bytes();
  rmSync(join(folder, "step-00000001"), { recursive: true });
  await save(1);
  expect(bytes()).toEqual(first);
});

test("training seconds are kept beside what is hashed; damaged, they are unknown", async () => {
  await save(1);
  const marker = readFileSync(join(folder, "step-00000001", "complete.json"));
  rmSync(join(folder, "step-00000001"), { recursive: true });
  const checkpoint = await writeCheckpoint(
    folder,
    { step: 1, seed: 7, configuration: "c" },
    12.5,
    async (directory) => {
      await writeFileAtomic(join(directory, "model.safetensors"), "weights of 1");
    },
  );
  expect(readFileSync(join(checkpoint.directory, "complete.json"))).toEqual(marker);
  expect(await readTrainSeconds(checkpoint)).toBe(12.5);
  const path = join(checkpoint.directory, "clock.json");
  writeFileSync(path, readFileSync(path, "utf8").replace("12.5", "92.5"));
  expect(await readTrainSeconds(checkpoint)).toBeUndefined();
  expect((await verifyCheckpoint(checkpoint)).step).toBe(1);
  rmSync(path);
  expect(await readTrainSeconds(checkpoint)).toBeUndefined();
});

test("a folder without its marker, or under a temporary name, is no checkpoint", async () => {
  await save(1);
  const second = await save(2);
  rmSync(join(second.directory, "complete.json"));
  mkdirSync(join(folder, ".step-00000003.tmp-abc"));
  expect((await listCheckpoints(folder)).map(({ step }) => step)).toEqual([1]);
  expect(await listCheckpoints(join(folder, "absent"))).toEqual([]);
  await save(2);
  expect((await listCheckpoints(folder)).map(({ step }) => step)).toEqual([1, 2]);
});

test("a flipped byte, a cut file and a missing file are named", async () => {
  const checkpoint = await save(5);
  const path = join(checkpoint.directory, "model.safetensors");
  const bytes = readFileSync(path);
  bytes[3] ^= 1;
  writeFileSync(path, bytes);
  await expect(verifyCheckpoint(checkpoint)).rejects.toMatchObject({ code: "checkpoint-damaged", where: path });
  writeFileSync(path, bytes.subarray(1));
  await expect(verifyCheckpoint(checkpoint)).rejects.toMatchObject({
    code: "checkpoint-damaged",
    where: path,
    why: expect.stringContaining("11 bytes"),
  });
  rmSync(path);
  await expect(verifyCheckpoint(checkpoint)).rejects.toMatchObject({ code: "checkpoint-damaged", where: path });
  writeFileSync(join(checkpoint.directory, "complete.json"), "{");
  await expect(verifyCheckpoint(checkpoint)).rejects.toMatchObject({
    code: "checkpoint-damaged",
    where: expect.stringContaining("complete.json"),
  });
});

test("a full disk leaves the older checkpoints whole and nothing half-written", async () => {
  const older = await save(1);
  const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  const failing = writeCheckpoint(folder, { step: 2, seed: 7, configuration: "c" }, 1, async (directory) => {
    writeFileSync(join(directory, "model.safetensors"), "half");
    throw full;
  });
  await expect(failing).rejects.toMatchObject({ code: "disk-full" });
  expect(readdirSync(folder)).toEqual(["step-00000001"]);
  expect((await verifyCheckpoint(older)).step).toBe(1);
});

test("what killed writers left is cleared", async () => {
  await save(1);
  mkdirSync(join(folder, ".step-00000002.tmp-abc"));
  writeFileSync(join(folder, ".step-00000002.tmp-abc", "model.safetensors"), "half");
  await removeUnfinished(folder);
  expect(readdirSync(folder)).toEqual(["step-00000001"]);
  await removeUnfinished(join(folder, "absent"));
});

test("pruning keeps the last ones and the chosen multiples", async () => {
  for (const step of [10, 20, 30, 40, 50]) await save(step);
  await pruneCheckpoints(folder, { keepLast: 2, keepEvery: 20 });
  expect(readdirSync(folder).sort()).toEqual(["step-00000020", "step-00000040", "step-00000050"]);
  await pruneCheckpoints(folder, { keepLast: 1 });
  expect(readdirSync(folder)).toEqual(["step-00000050"]);
});
