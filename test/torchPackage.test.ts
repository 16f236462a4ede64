import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageRoot } from "../src/cli/packageRoot.js";

const run = promisify(execFile);
const source = join(packageRoot, "packages", "tfjs-backend-torch");
let folder: string;
let files: string[];
let installed: string;

/** Packs the package of the torch backend and installs it, with links to its dependencies, in an empty folder. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mswitch-torch-package-"));
  const pack = ["pack", "--json", "--ignore-scripts", "--pack-destination", folder];
  const { stdout } = await run("npm", pack, { cwd: source, maxBuffer: 1 << 25 });
  const [packed] = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[];
  files = packed.files.map(({ path }) => path);
  installed = join(folder, "node_modules", "@mswitch", "tfjs-backend-torch");
  await mkdir(installed, { recursive: true });
  await run("tar", ["-xzf", join(folder, packed.filename), "-C", installed, "--strip-components=1"]);
  for (const name of ["@tensorflow/tfjs-core", "@tensorflow/tfjs-backend-cpu", "node-addon-api"]) {
    const link = join(folder, "node_modules", name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(join(packageRoot, "node_modules", name), link);
  }
  await mkdir(join(folder, "node_modules", ".bin"));
  await symlink(join(installed, "scripts", "cli.mjs"), join(folder, "node_modules", ".bin", "tfjs-backend-torch"));
  await writeFile(join(folder, "package.json"), "{}");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const npx = async (args: string[], environment: NodeJS.ProcessEnv = {}): Promise<{ stdout: string; stderr: string }> =>
  run("npx", ["--no-install", "tfjs-backend-torch", ...args], { cwd: folder, env: { ...process.env, ...environment } });

test("holds the sources of the addon, its licence and its page, and no objects", () => {
  expect(files).toEqual(expect.arrayContaining(["LICENSE", "README.md", "dist/register.js", "dist/register.d.ts"]));
  expect(files).toEqual(expect.arrayContaining(["native/runtime/binding.cc", "scripts/cli.mjs"]));
  expect(files.filter((path) => /\.(o|node|map)$|^build|\.test\./.test(path))).toEqual([]);
});

test("its command explains itself, refuses other words, and says where it looked for libtorch", async () => {
  expect((await npx(["--help"])).stdout).toContain("tfjs-backend-torch build");
  await expect(npx(["bild"])).rejects.toMatchObject({ code: 2 });
  const nowhere = { LIBTORCH: join(folder, "none"), MSWITCH_PYTHON: "/none", PATH: dirname(process.execPath) };
  const without = { ...nowhere, HOME: folder, XDG_CACHE_HOME: folder, PYTHON: "/none", VIRTUAL_ENV: "" };
  await expect(npx(["build"], without)).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining(join(folder, "none")),
  });
  expect((await npx(["build", "--if-possible"], without)).stderr).toContain("was not built");
});

test("imports without an addon, and says what is missing", async () => {
  const script = `import { torchStatus } from "@mswitch/tfjs-backend-torch"; console.log(JSON.stringify(torchStatus()));`;
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script], { cwd: folder });
  expect(JSON.parse(stdout)).toEqual({ available: false, reason: expect.stringContaining("not built") });
});

test("an addon of another version is an error with the command that mends it", async () => {
  const addon = join(folder, "old.cjs");
  await writeFile(addon, "module.exports = { ops: () => 'Abs,Acos' };");
  const script = `import { torchStatus } from "@mswitch/tfjs-backend-torch"; console.log(torchStatus().reason);`;
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script], {
    cwd: folder,
    env: { ...process.env, TFJS_TORCH_ADDON: addon },
  });
  expect(stdout).toContain("npx @mswitch/tfjs-backend-torch build");
});
