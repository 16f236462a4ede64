import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageRoot } from "../src/cli/packageRoot.js";

const run = promisify(execFile);
let folder: string;
let files: string[];

/** Packs the package and installs it, with links to the dependencies that it declares, in an empty folder. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mswitch-package-"));
  const pack = ["pack", "--json", "--ignore-scripts", "--pack-destination", folder];
  const { stdout } = await run("npm", pack, { cwd: packageRoot, maxBuffer: 1 << 25 });
  const [packed] = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[];
  files = packed.files.map(({ path }) => path);
  const installed = join(folder, "node_modules", "mswitch");
  await mkdir(installed, { recursive: true });
  await run("tar", ["-xzf", join(folder, packed.filename), "-C", installed, "--strip-components=1"]);
  const { dependencies } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
  for (const name of Object.keys(dependencies)) {
    const link = join(folder, "node_modules", name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(join(packageRoot, "node_modules", name), link);
  }
  await writeFile(join(folder, "package.json"), "{}");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const mswitch = async (...args: string[]): Promise<string> =>
  (await run(process.execPath, [join("node_modules", "mswitch", "bin", "run.js"), ...args], { cwd: folder })).stdout;

test("holds what a user needs, and no tests, fixtures, source maps or build state", () => {
  const needed = [
    "bin/run.js",
    "oclif.manifest.json",
    "dist/help.txt",
    "pipelines/demo-dense.yaml",
    "vocab/sample.model",
  ];
  expect(files).toEqual(expect.arrayContaining([...needed, "LICENSE", "README.md", "CHANGELOG.md"]));
  expect(files.filter((path) => /\.map$|\.test\.|fixture|\.build|tools\/|(?<!\.d)\.ts$/.test(path))).toEqual([]);
});

test("commands answer, and find what ships with the package", async () => {
  expect(await mswitch("--version")).toContain("mswitch/");
  const { ok, findings } = JSON.parse(await mswitch("doctor", "--json"));
  expect(ok).toBe(true);
  const sample = findings.find(({ name }: { name: string }) => name === "Sample corpus");
  expect(sample.detail).toContain(join(folder, "node_modules", "mswitch"));
});

test("preprocesses and trains with a pipeline of the package, from an empty folder", async () => {
  const shipped = join("node_modules", "mswitch");
  const source = ["--source", join(shipped, "data", "sample"), "--languages", "af,am"];
  await mswitch("preprocess", ...source, "--vocab", join(shipped, "vocab", "sample.model"), "--out", "dataset");
  const sets = ["dataset=dataset", "steps=1", "run=run", "evaluation.every=1", "stream.batchSize=2"];
  const small = [...sets, "model.dModel=32", "model.dFf=32"].flatMap((set) => ["--set", set]);
  await mswitch("pretrain", "pipelines/demo-dense.yaml", "--backend", "cpu", ...small);
  expect(existsSync(join(folder, "run", "eval", "step-00000001.json"))).toBe(true);
});

test("its exports load and have types", async () => {
  const { exports } = JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8"));
  for (const [path, entry] of Object.entries<{ types?: string }>(exports)) {
    if (!entry.types) continue;
    expect(files).toContain(entry.types.slice(2));
    const name = `mswitch${path.slice(1)}`;
    const { stdout } = await run(
      process.execPath,
      ["--input-type=module", "-e", `console.log(Object.keys(await import("${name}")).length)`],
      { cwd: folder },
    );
    expect(Number(stdout), name).toBeGreaterThan(0);
  }
  const program = `import { openTokenizer } from "mswitch/vocab";
    const { encode, decode } = await openTokenizer("node_modules/mswitch/vocab/sample.model");
    console.log(decode(encode("Goeie more")));`;
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", program], { cwd: folder });
  expect(stdout.trim()).toBe("Goeie more");
});

test("docs/api.md and docs/errors.md are what the sources say", async () => {
  const { apiPage } = (await import(new URL("../scripts/apiPage.mjs", import.meta.url).href)) as {
    apiPage: () => string;
  };
  const { errorsPage } = (await import(new URL("../scripts/errorsPage.mjs", import.meta.url).href)) as {
    errorsPage: () => string;
  };
  expect(readFileSync(join(packageRoot, "docs", "errors.md"), "utf8"), "npm run docs").toBe(errorsPage());
  expect(readFileSync(join(packageRoot, "docs", "api.md"), "utf8"), "npm run docs").toBe(apiPage());
});
