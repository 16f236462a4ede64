import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { mswitch } from "./preprocessRuns.js";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mswitch-vocab-signals-"));
  mkdirSync(join(folder, "bin"));
  // A trainer that says who it is and never ends by itself.
  const trainer = `#!/bin/sh\n[ "$1" = --version ] && exit 0\necho $$ > "${folder}/pid.tmp"; mv "${folder}/pid.tmp" "${folder}/pid"\nexec sleep 600\n`;
  writeFileSync(join(folder, "bin", "spm_train"), trainer);
  chmodSync(join(folder, "bin", "spm_train"), 0o755);
  vi.stubEnv("PATH", `${join(folder, "bin")}${delimiter}${process.env.PATH}`);
  vi.stubEnv("MSWITCH_PYTHON", undefined);
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test.each(["SIGHUP", "SIGTERM", "SIGINT"] as const)(
  "%s while a vocabulary is trained: no trainer and no file is left behind",
  async (signal) => {
    const out = join(folder, signal);
    const pidFile = join(folder, "pid");
    rmSync(pidFile, { force: true });
    const kill = (async () => {
      while (!existsSync(pidFile)) await sleep(20);
    })();
    const sample = ["--source", "data/sample", "--languages", "af", "--size", "300"];
    const { code, stderr } = await mswitch(["vocab", "train", ...sample, "--out", join(out, "a.model")], {
      kill,
      signal,
    });
    expect(code, stderr).toBe(130);
    expect(stderr).toContain(signal);
    expect(isRunning(Number(readFileSync(pidFile, "utf8")))).toBe(false);
    expect(readdirSync(out)).toEqual([]);
  },
);
