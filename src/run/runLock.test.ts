import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { workerUrl } from "../base/builtCode.js";
import { silentLog } from "../base/log.js";
import { lockName, lockRun } from "./runLock.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mswitch-lock-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("a running process keeps others out until it lets go", async () => {
  const lock = await lockRun(folder, silentLog);
  await lock.requireHeld();
  await expect(lockRun(folder, silentLog)).rejects.toMatchObject({ code: "run-locked" });
  await lock.release();
  expect(readdirSync(folder)).toEqual([]);
  await (await lockRun(folder, silentLog)).release();
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
    const lock = await lockRun(folder, silentLog);
    expect(JSON.parse(readFileSync(join(folder, lockName), "utf8")).pid).toBe(process.pid);
    await lock.release();
  }
  writeFileSync(join(folder, lockName), "half a lo");
  await (await lockRun(folder, silentLog)).release();
  expect(existsSync(join(folder, lockName))).toBe(false);
});

const times = { heartbeatMs: 20, watchMs: 500 };
const elsewhere = JSON.stringify({ host: "elsewhere", pid: 1, began: "1" });

test("another host's lock without a heartbeat is taken over with a warning", async () => {
  writeFileSync(join(folder, lockName), elsewhere);
  const warn = vi.fn();
  const lock = await lockRun(folder, { info: () => undefined, warn }, times);
  expect(warn.mock.calls[0][0]).toContain("taken over from elsewhere");
  await lock.release();
});

test("another host's lock with a heartbeat keeps others out", async () => {
  const path = join(folder, lockName);
  writeFileSync(path, elsewhere);
  let beats = 0;
  const timer = setInterval(() => utimesSync(path, new Date(), new Date(2000, 0, 1, 0, 0, ++beats)), 50);
  await expect(lockRun(folder, silentLog, { ...times, watchMs: 60_000 })).rejects.toMatchObject({ code: "run-locked" });
  clearInterval(timer);
  expect(readFileSync(path, "utf8")).toBe(elsewhere);
});

test("the holder's heartbeat is seen, and it notices that the lock was taken from it", async () => {
  const path = join(folder, lockName);
  const lock = await lockRun(folder, silentLog, times);
  const before = statSync(path).mtimeMs;
  await vi.waitFor(() => expect(statSync(path).mtimeMs).not.toBe(before), { timeout: 10_000 });
  writeFileSync(path, elsewhere);
  await expect(lock.requireHeld()).rejects.toMatchObject({ code: "run-lock-lost" });
  await lock.release();
  expect(readFileSync(path, "utf8")).toBe(elsewhere);
});

test("a process that exits without letting go leaves no lock", async () => {
  const module = workerUrl("./runLock", import.meta.url).href;
  const script = `
    import { lockRun } from ${JSON.stringify(module)};
    await lockRun(${JSON.stringify(folder)}, { info() {}, warn() {} });
    process.exit(130);
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script]);
  expect((await once(child, "exit"))[0]).toBe(130);
  expect(readdirSync(folder)).toEqual([]);
});
