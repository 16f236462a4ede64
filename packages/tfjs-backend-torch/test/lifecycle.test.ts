// Whole processes: memory over many steps, and every way to end. They run the compiled package: npm test compiles it first.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const program = (name: string): string => fileURLToPath(new URL(`programs/${name}.mjs`, import.meta.url));

interface Memory {
  numTensors: number;
  numDataBuffers: number;
  numBytes: number;
  torchTensors: number;
  torchBytes: number;
  rss: number;
}

function train(...args: string[]): { status: number | null; signal: string | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ["--expose-gc", program("tinyTraining"), ...args], { encoding: "utf8" });
}

test("ten thousand steps leave memory as it was", () => {
  const { status, stdout, stderr } = train("10000");
  expect(stderr).toBe("");
  expect(status).toBe(0);
  const { before, after } = JSON.parse(stdout) as { before: Memory; after: Memory };
  const { rss: rssBefore, ...countsBefore } = before;
  const { rss: rssAfter, ...countsAfter } = after;
  expect(countsAfter).toEqual(countsBefore);
  // Every step makes about 40 KB of tensors, 400 MB in all. Node's and libc's heaps alone go up and down by some 27 MB.
  expect(rssAfter - rssBefore).toBeLessThan(40 * 2 ** 20);
}, 300_000);

test("process.exit in the middle is clean", () => {
  expect(train("10", "exit")).toMatchObject({ status: 0, signal: null, stderr: "" });
});

test("an exception ends the process with its own error", () => {
  const { status, signal, stderr } = train("10", "throw");
  expect({ status, signal }).toEqual({ status: 1, signal: null });
  expect(stderr).toContain("thrown on purpose");
  expect(stderr).not.toContain("terminate called");
});

test("SIGINT ends the process by that signal", async () => {
  const child: ChildProcess = spawn(process.execPath, [program("tinyTraining"), "10", "wait"]);
  await once(child.stdout!, "data");
  child.kill("SIGINT");
  const [status, signal] = await once(child, "exit");
  expect({ status, signal }).toEqual({ status: null, signal: "SIGINT" });
});

test.runIf(process.platform === "linux")("threads beside busy programs may use the same cores afterwards", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program("besideLoops")], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
  const { before, after } = JSON.parse(stdout);
  expect(after).toEqual(before);
});

test("worker threads have backends of their own and may end at any time", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program("workers")], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
  const [first, second, third, again] = JSON.parse(stdout);
  expect(third).toEqual(first);
  expect(again).toEqual(second);
  expect(first.value).not.toBe(second.value);
  expect(first.torchTensors).toBe(0);
});
