import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
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

const script = async <Exports>(name: string): Promise<Exports> =>
  (await import(new URL(`../scripts/${name}.mjs`, import.meta.url).href)) as Exports;

test("generated pages and schemas are what the sources say", async () => {
  const { apiPage } = await script<{ apiPage: () => string }>("apiPage");
  const { errorsPage } = await script<{ errorsPage: () => string }>("errorsPage");
  const pages = await script<{ commandsPage: () => string; runFilePage: () => Promise<string> }>("referencePages");
  const { schemaFiles } = await script<{ schemaFiles: () => Promise<Record<string, string>> }>("schemas");
  const expected = {
    "docs/errors.md": errorsPage(),
    "docs/api.md": apiPage(),
    "docs/commands.md": pages.commandsPage(),
    "docs/run-file.md": await pages.runFilePage(),
    ...Object.fromEntries(Object.entries(await schemaFiles()).map(([name, text]) => [`schemas/${name}`, text])),
  };
  for (const [file, text] of Object.entries(expected)) {
    expect(readFileSync(join(packageRoot, file), "utf8"), `${file}: npm run docs`).toBe(text);
  }
});

test("every YAML file of a run or study names its schema, which ships with it", () => {
  const yaml = files.filter((path) => /^(pipelines|data\/hardware)\/(studies\/)?[^/]*\.yaml$/.test(path));
  expect(yaml.length).toBeGreaterThan(20);
  for (const path of yaml) {
    const [first] = readFileSync(join(packageRoot, path), "utf8").split("\n");
    const schema = /^# yaml-language-server: \$schema=(\S+)$/.exec(first)?.[1];
    expect(files, `${path}: ${first}`).toContain(join(dirname(path), schema ?? ""));
  }
});

test("every page of docs is in its index", () => {
  const index = readFileSync(join(packageRoot, "docs", "README.md"), "utf8");
  const pages = readdirSync(join(packageRoot, "docs"), { recursive: true, encoding: "utf8" });
  const missing = pages.filter((page) => page.endsWith(".md") && page !== "README.md" && !index.includes(`(${page})`));
  expect(missing).toEqual([]);
});
