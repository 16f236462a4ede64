import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { appendFile, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { copyCheckout } from "./helpers/copyCheckout.js";

const run = promisify(execFile);
let copy: string;

beforeAll(async () => {
  copy = await copyCheckout();
  await build();
});
afterAll(() => rm(copy, { recursive: true, force: true }));

/** What the build says on stderr; rejects where it fails. */
async function build(): Promise<string> {
  return (await run(process.execPath, ["scripts/build.mjs"], { cwd: copy })).stderr;
}

/** One test file under vitest in the copy: what it printed, passed or failed. */
async function vitest(...args: string[]): Promise<{ passed: boolean; output: string }> {
  // This vitest's own variables would be taken for the other's.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(VITEST|TEST|NODE_ENV)/.test(name)));
  return await run(process.execPath, ["node_modules/vitest/vitest.mjs", "run", ...args], { cwd: copy, env }).then(
    ({ stdout, stderr }) => ({ passed: true, output: stdout + stderr }),
    ({ stdout, stderr }) => ({ passed: false, output: stdout + stderr }),
  );
}

test("builds nothing twice, and after a change what depends on it", async () => {
  expect(await build()).toContain("up to date");
  await appendFile(join(copy, "src/stream/prefetch/prefetchWorker.ts"), "// changed\n");
  const said = await build();
  expect(said).toContain("built typescript, stream/prefetch/prefetchWorker in");
  expect(said).not.toMatch(/wasm|page|manifest/);
  await rm(join(copy, "dist/wasm/gunzip.wasm"));
  expect(await build()).toContain("built gunzip.wasm in");
});

test("a module whose source is gone is gone", async () => {
  const source = join(copy, "src/base/passing.ts");
  await writeFile(source, "export const passing = 1;\n");
  await build();
  expect(existsSync(join(copy, "dist/base/passing.js"))).toBe(true);
  await rm(source);
  await build();
  expect(existsSync(join(copy, "dist/base/passing.js"))).toBe(false);
});

test("vitest sees a worker's change without a build by hand, and does not run on what does not compile", async () => {
  const worker = join(copy, "src/stream/prefetch/prefetchWorker.ts");
  const source = await readFile(worker, "utf8");
  const prefetch = "src/stream/prefetch/prefetch.test.ts";
  await writeFile(worker, `${source}throw new Error("the worker was edited");\n`);
  const edited = await vitest(prefetch);
  expect(edited.passed).toBe(false);
  expect(edited.output).toContain("the worker was edited");

  await writeFile(worker, `${source}export const wrong: number = "text";\n`);
  const wrong = await vitest(prefetch);
  expect(wrong.passed).toBe(false);
  expect(wrong.output).toContain("TS2322");

  await writeFile(worker, source);
  expect(await vitest(prefetch)).toMatchObject({ passed: true });
});
