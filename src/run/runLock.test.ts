import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { silentLog } from "../base/log.js";
import { lockName, lockRun } from "./runLock.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mswitch-lock-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("a running process keeps others out until it lets go", async () => {
  const release = await lockRun(folder, silentLog);
  await expect(lockRun(folder, silentLog)).rejects.toMatchObject({ code: "run-locked" });
  await release();
  expect(readdirSync(folder)).toEqual([]);
  await (await lockRun(folder, silentLog))();
});

test("the lock of a killed process, or of one whose number was given out again, is taken over", async () => {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  const { pid } = child;
  child.kill("SIGKILL");
  await once(child, "exit");
  for (const owner of [
    { pid, began: "1" },
    { pid: process.pid, began: "1" },
  ]) {
    writeFileSync(join(folder, lockName), JSON.stringify({ host: hostname(), ...owner }));
    const release = await lockRun(folder, silentLog);
    expect(JSON.parse(readFileSync(join(folder, lockName), "utf8")).pid).toBe(process.pid);
    await release();
  }
  writeFileSync(join(folder, lockName), "half a lo");
  await (await lockRun(folder, silentLog))();
  expect(existsSync(join(folder, lockName))).toBe(false);
});

test("another machine's lock is taken over with a warning", async () => {
  writeFileSync(join(folder, lockName), JSON.stringify({ host: "elsewhere", pid: 1, began: "1" }));
  const warn = vi.fn();
  await (await lockRun(folder, { info: () => undefined, warn }))();
  expect(warn.mock.calls[0][0]).toContain("taken over from elsewhere");
});
