// Runs the commands of docs/tutorial.md as they are printed, in a fresh copy of what is committed: `npm run check:tutorial`. It takes some
// ten minutes on two cores. `npm link` and the copy lie in a temporary folder, which is removed where all went well.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "mswitch-tutorial-"));
const checkout = join(folder, "mswitch");
execFileSync("git", ["clone", "--quiet", root, checkout]);

const prefix = join(folder, "npm");
const env = {
  ...process.env,
  npm_config_prefix: prefix,
  PATH: [join(prefix, "bin"), process.env.PATH].join(delimiter),
};
const page = readFileSync(join(checkout, "docs", "tutorial.md"), "utf8");
const started = performance.now();
for (const [, commands] of page.matchAll(/^```sh\n([\s\S]*?)^```$/gm)) {
  for (const command of commands.trimEnd().split("\n")) {
    console.log(`\n$ ${command}`);
    const since = performance.now();
    const { status } = spawnSync("bash", ["-c", command], { cwd: checkout, env, stdio: "inherit" });
    console.log(`exit code ${status}, ${((performance.now() - since) / 1000).toFixed(0)} s`);
    if (status !== 0) {
      console.log(`failed; what it left: ${folder}`);
      process.exit(1);
    }
  }
}
console.log(`\nall commands ran, ${((performance.now() - started) / 60_000).toFixed(1)} min`);
rmSync(folder, { recursive: true });
