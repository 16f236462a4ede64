import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packageRoot } from "../src/cli/packageRoot.js";

/** The environment without anything that names a home or a cache. */
function without(...names: string[]): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !names.includes(name)));
}

const bin = join(packageRoot, "bin", "run.js");
const model = join(packageRoot, "vocab", "sample.model");
/** A user id that passwd does not know, as in stripped containers. */
const stranger = { uid: 54_321, gid: 54_321 };
const canBeStranger =
  process.getuid?.() === 0 && spawnSync("test", ["-r", bin, "-a", "-r", model], stranger).status === 0;

test.runIf(canBeStranger)("a user without an entry in passwd, HOME and SHELL: command and library work", () => {
  const options = { ...stranger, env: without("HOME", "SHELL", "XDG_CACHE_HOME"), cwd: "/", encoding: "utf8" } as const;
  const inspect = spawnSync(process.execPath, [bin, "vocab", "inspect", model, "--json"], options);
  expect(inspect.status, inspect.stderr).toBe(0);
  expect(JSON.parse(inspect.stdout).vocabulary.size).toBeGreaterThan(5000);
  const program = `import { openTokenizer } from ${JSON.stringify(join(packageRoot, "dist", "vocab", "tokenizer.js"))};
    console.log((await openTokenizer(${JSON.stringify(model)})).encode("een").length);`;
  const library = spawnSync(process.execPath, ["--input-type=module", "-e", program], options);
  expect(library.stderr).toBe("");
  expect(Number(library.stdout)).toBeGreaterThan(0);
});

test.runIf(process.platform === "linux")("a home in which nothing can be written costs time only", () => {
  const env = { ...without("XDG_CACHE_HOME"), HOME: "/proc/mswitch-home" };
  const inspect = spawnSync(process.execPath, [bin, "vocab", "inspect", model, "--text", "een twee"], {
    env,
    encoding: "utf8",
  });
  expect(inspect.status, inspect.stderr).toBe(0);
  expect(inspect.stdout).toContain("een twee");
});
