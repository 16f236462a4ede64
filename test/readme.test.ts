import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "mswitch-readme-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const python = process.env.MSWITCH_PYTHON;
const path = [folder, ...(python ? [dirname(python)] : []), process.env.PATH].join(":");
const trainer = spawnSync("python3", ["-c", "import sentencepiece"], { env: { ...process.env, PATH: path } });

/** The commands of the README's section on own data. */
function ownDataCommands(): string[] {
  const section = readFileSync(join(root, "README.md"), "utf8").split("## On your own data")[1];
  return section.split("```")[1].trim().split("\n");
}

/** A `mswitch` on the path that makes trainings short and leaves everything else as it is written. */
function installShim(): void {
  const short = ["steps=4", "evaluation.every=2", "evaluation.examplesPerLanguage=1", "stream.batchSize=4"];
  const sets = short.map((set) => `--set ${set}`).join(" ");
  const shim = join(folder, "mswitch");
  const run = `"${process.execPath}" "${join(root, "bin", "run.js")}"`;
  writeFileSync(shim, `#!/bin/sh\n[ "$1" = pretrain ] && exec ${run} "$@" --backend wasm ${sets}\nexec ${run} "$@"\n`);
  chmodSync(shim, 0o755);
}

test.skipIf(trainer.status !== 0)("the README's lines for own data end with a report", { timeout: 300_000 }, () => {
  const [install, ...commands] = ownDataCommands();
  expect(install).toMatch(/^make libtorch build && npm link$/);
  expect(commands.at(-1)).toMatch(/^mswitch report /);
  installShim();
  symlinkSync(join(root, "data", "sample"), join(folder, "corpus"));
  symlinkSync(join(root, "pipelines"), join(folder, "pipelines"));
  const { status, stderr } = spawnSync("bash", ["-ec", commands.join("\n")], {
    cwd: folder,
    env: { ...process.env, PATH: path },
    encoding: "utf8",
  });
  expect(status, stderr.slice(-2000)).toBe(0);
  expect(existsSync(join(folder, "report", "index.html"))).toBe(true);
});
