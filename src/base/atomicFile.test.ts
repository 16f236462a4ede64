import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { isTemporaryName, removeStaleTemporaries, withAtomicFile, writeFileAtomic } from "./atomicFile.js";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "mswitch-atomic-"));
});
afterEach(() => rm(dir, { recursive: true }));

it("replaces a file whole and leaves nothing else behind", async () => {
  const path = join(dir, "a", "file.json");
  await writeFileAtomic(path, "old");
  await writeFileAtomic(path, "new");
  expect(await readFile(path, "utf8")).toBe("new");
  expect(await readdir(join(dir, "a"))).toEqual(["file.json"]);
});

it("keeps the old bytes and removes its temporary file when writing fails", async () => {
  const path = join(dir, "file");
  await writeFileAtomic(path, "old");
  const failing = withAtomicFile(path, async (file) => {
    await file.writeFile("half");
    throw new Error("disk full");
  });
  await expect(failing).rejects.toThrow("disk full");
  expect(await readFile(path, "utf8")).toBe("old");
  expect(await readdir(dir)).toEqual(["file"]);
});

it("says which file a full disk left unwritten", async () => {
  const path = join(dir, "file");
  const failing = withAtomicFile(path, async () => {
    throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  });
  await expect(failing).rejects.toMatchObject({ code: "ENOSPC", path });
});

it("removes dead writers' temporary files and leaves running ones' alone", async () => {
  let owner = "";
  await withAtomicFile(join(dir, "file"), async () => {
    owner = (await readdir(dir))[0];
  });
  const here = owner.split(".tmp-")[1].split("-")[0];
  const dead = spawnSync(process.execPath, ["-e", ""]).pid;
  const name = (owner: string) => `.file.tmp-${owner}`;
  const keep = [name(`${here}-${process.ppid}-00`), name(`${here}-${process.pid}-01`), name("elsewhere-7-02"), "file"];
  const stale = [name(`${here}-${dead}-03`), name("elsewhere-7-04"), name(`${here}-${process.pid}-05`)];
  for (const file of [...keep, ...stale]) await writeFile(join(dir, file), "");
  const longAgo = new Date(Date.now() - 3 * 24 * 3600 * 1000);
  await utimes(join(dir, stale[1]), longAgo, longAgo);
  await utimes(join(dir, stale[2]), longAgo, longAgo);
  expect(stale.every(isTemporaryName)).toBe(true);
  await removeStaleTemporaries(dir);
  expect((await readdir(dir)).sort()).toEqual(keep.sort());
});
