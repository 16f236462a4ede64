import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { datasetFingerprint } from "../src/dataset/format/manifest.js";
import { readManifest } from "../src/dataset/read/openDataset.js";
import { writeDiskDataset } from "./diskDataset.js";
import { syntheticRun, writeRun } from "./reportRuns.js";

const bin = fileURLToPath(new URL("../bin/run.js", import.meta.url));
const languages = ["af", "am", "ja"];
const steps = [100, 200, 300, 400];
let dir: string;

const report = (...args: string[]) =>
  spawnSync(process.execPath, [bin, "report", ...args], { cwd: dir, encoding: "utf8" });

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "mswitch-report-"));
  await writeRun(syntheticRun({ name: "dense", languages, steps, speed: () => 1 }), join(dir, "dense"));
  await writeRun(syntheticRun({ name: "switch", languages, steps, speed: () => 2, experts: 4 }), join(dir, "switch"));
  await writeRun(
    syntheticRun({ name: "short", languages, steps: steps.slice(0, 2), speed: () => 2, totalSteps: 400 }),
    join(dir, "short"),
  );
  await writeRun(
    syntheticRun({ name: "untrained", languages, steps: [0], speed: () => 25, totalSteps: 400 }),
    join(dir, "untrained"),
  );
  const other = syntheticRun({ name: "other", languages, steps, speed: () => 2 });
  other.description.evalExamples = "f".repeat(64);
  await writeRun(other, join(dir, "other"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

test("prints headline and page, writes every format", async () => {
  const { stdout, stderr, status } = report("dense", "switch", "--out", "out");
  expect(status).toBe(0);
  expect(stderr.trimEnd()).toMatch(/^warning: There is one seed a side[^\n]*$/);
  const lines = stdout.trimEnd().split("\n");
  expect(lines[0]).toBe("switch learns faster than dense, in 3 of 3 languages.");
  expect(lines[1]).toMatch(/^Mean step speed-up (1\.9\d|2\.00)× \(95\u202f% interval .*\) over 3 languages\.$/);
  expect(lines.at(-1)).toBe(join("out", "index.html"));
  expect((await readdir(join(dir, "out"))).sort()).toEqual([
    "figures",
    "index.html",
    "report.md",
    "speedups.csv",
    "speedups.json",
  ]);
  const markdown = await readFile(join(dir, "out", "report.md"), "utf8");
  const figures = [...markdown.matchAll(/!\[[^\]]*\]\(([^)]+)\)/g)].map((match) => match[1]);
  expect(figures.length).toBeGreaterThanOrEqual(6);
  for (const file of figures) {
    expect(await readFile(join(dir, "out", file), "utf8")).toMatch(/^<svg .*<path .*<\/svg>\n$/s);
  }
});

test("is the same bytes every time", async () => {
  report("dense", "switch", "--out", "again");
  for (const file of ["index.html", "report.md", "speedups.csv", "speedups.json"]) {
    expect(await readFile(join(dir, "again", file), "utf8")).toBe(await readFile(join(dir, "out", file), "utf8"));
  }
});

test("--json is one document; an unfinished run is compared and said to be unfinished", () => {
  const { stdout, stderr, status } = report("dense", "switch", "short", "--out", "two", "--json");
  expect(status).toBe(0);
  const { candidates, page } = JSON.parse(stdout);
  expect(page).toBe(join("two", "index.html"));
  expect(candidates.map(({ name, finished }: { name: string; finished: boolean }) => [name, finished])).toEqual([
    ["switch", true],
    ["short", false],
  ]);
  expect(candidates[0].languages.measures.step.mean.value).toBeCloseTo(2, 1);
  expect(stderr).toContain("short is not finished: it is at step 200 of 400");
});

test("--dataset shows what the runs learned from, and no other dataset", async () => {
  for (const [name, tokens] of [
    ["tokens", 500],
    ["others", 400],
  ] as const) {
    await writeDiskDataset(join(dir, name), { af: { train: tokens, validation: 40 }, ja: { train: 70 } });
  }
  const manifest = await readManifest(join(dir, "tokens"));
  for (const [name, speed] of [
    ["dense-on-tokens", 1],
    ["switch-on-tokens", 2],
  ] as const) {
    const run = syntheticRun({ name, languages, steps, speed: () => speed });
    run.description.dataset = datasetFingerprint(manifest);
    await writeRun(run, join(dir, name));
  }
  const runs = ["dense-on-tokens", "switch-on-tokens", "--out", "with-data", "--dataset"];
  const refused = report(...runs, "others");
  expect(refused.stderr).toMatch(/others: .*\[dataset-run-mismatch\]/);
  expect(refused.status).toBe(2);
  expect(report(...runs, "tokens").status).toBe(0);
  const page = await readFile(join(dir, "with-data", "index.html"), "utf8");
  const section = /<section id="dataset">.*?<\/section>/s.exec(page)?.[0];
  // 500 and 40 tokens of Afrikaans.
  expect(section).toMatch(
    /Afrikaans\s+<span class="second"><code>af<\/code><\/span><\/th><td class="number" data-value="2">2<\/td><td class="number" data-value="540">/,
  );
  expect(await readFile(join(dir, "out", "index.html"), "utf8")).not.toContain('<section id="dataset">');
  await watch([...runs, "tokens"], async (address) => {
    expect(await (await fetch(address)).text()).toContain('<section id="dataset">');
  });
});

test.each([
  [["dense", "other"], /other: .*evalExamples.*\[runs-not-comparable\]/],
  [["dense", "absent"], /absent: .*\[not-a-run\]/],
  [["dense", "switch", "switch"], /switch: .*\[duplicate-run\]/],
  [["dense", "./dense/"], /dense\/: .*\[duplicate-run\]/],
  [["dense"], /Missing 1 required arg/],
  [["dense", "untrained"], /untrained: there is no speed-up yet/],
])("refuses %s with exit code 2 and writes nothing", (args, message) => {
  const { stdout, stderr, status } = report(...args, "--out", "refused");
  expect([stdout, status]).toEqual(["", 2]);
  expect(stderr).toMatch(message);
  expect(existsSync(join(dir, "refused"))).toBe(false);
});

test("a run directory is no place for the report", () => {
  const { stderr, status } = report("dense", "switch", "--out", "switch");
  expect(status).toBe(2);
  expect(stderr).toContain("run directory");
});

/** Runs `report --watch`, and ends it after `use` of its address. */
async function watch(args: string[], use: (address: string) => Promise<void>): Promise<void> {
  const child = spawn(process.execPath, [bin, "report", ...args, "--watch"], { cwd: dir });
  try {
    const address = await new Promise<string>((resolve) => {
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        const found = /http:\/\/127\.0\.0\.1:\d+\//.exec(text);
        if (found) resolve(found[0]);
      });
    });
    await use(address);
  } finally {
    child.kill("SIGTERM");
    await once(child, "close");
  }
}

test("--watch serves the page on loopback and follows the runs", async () => {
  const live = join(dir, "live");
  await writeRun(syntheticRun({ name: "live", languages, steps: [0], speed: () => 2, totalSteps: 400 }), live);
  await watch(["dense", "live", "--out", "watched"], async (address) => {
    expect(await (await fetch(address)).text()).toContain("no speed-up yet");
    const before = await (await fetch(`${address}version`)).text();
    await writeRun(syntheticRun({ name: "live", languages, steps, speed: () => 2, totalSteps: 400 }), live);
    while ((await (await fetch(`${address}version`)).text()) === before) await delay(100);
    expect(await (await fetch(address)).text()).toContain("learns faster than dense");
    expect((await fetch(`${address}../etc/passwd`)).status).toBe(404);
  });
});
