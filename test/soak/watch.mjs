// Time from saving a TypeScript file to its test's result, with vitest in watch mode, in a copy of the checkout.
//   npm run soak:watch
import { spawn } from "node:child_process";
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const copy = mkdtempSync(join(tmpdir(), "mswitch-watch-"));
const torch = "packages/tfjs-backend-torch";
mkdirSync(join(copy, torch), { recursive: true });
for (const path of ["src", "assembly", "scripts", "test", "bin", `${torch}/src`, `${torch}/tsconfig.json`])
  cpSync(join(root, path), join(copy, path), { recursive: true });
for (const path of ["package.json", "package-lock.json", "tsconfig.json", "vitest.config.ts"])
  cpSync(join(root, path), join(copy, path));
for (const path of ["node_modules", "data", "vocab", "eval", "pipelines"])
  symlinkSync(join(root, path), join(copy, path));

const tests = ["src/base/atomicFile.test.ts", "src/stream/prefetch/prefetch.test.ts"];
const args = ["node_modules/vitest/vitest.mjs", "watch", ...tests];
const vitest = spawn(process.execPath, args, { cwd: copy, env: { ...process.env, CI: "", NO_COLOR: "1" } });
let output = "";
let onResult;
for (const stream of [vitest.stdout, vitest.stderr]) {
  stream.on("data", (chunk) => {
    output += chunk;
    if (/Tests {2}.*\n[\s\S]*Duration/.test(output)) {
      output = "";
      onResult();
    }
  });
}
const result = () => new Promise((resolve) => (onResult = resolve));

await result();
for (const file of ["src/base/atomicFile.ts", "src/stream/prefetch/prefetchWorker.ts"]) {
  const seconds = [];
  for (let time = 0; time < 5; time++) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const done = result();
    const start = performance.now();
    appendFileSync(join(copy, file), `// ${time}\n`);
    await done;
    seconds.push((performance.now() - start) / 1000);
  }
  const [, , median] = seconds.toSorted((a, b) => a - b);
  console.log(
    `${file}: ${median.toFixed(1)} s from saving to the result (${seconds.map((s) => s.toFixed(1)).join(", ")})`,
  );
}
vitest.kill();
rmSync(copy, { recursive: true, force: true });
