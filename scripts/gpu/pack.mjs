// Packs what a machine with a GPU and PyTorch, but without Node.js, npm and network, needs beside this repository to build the
// torch backend, check it and train: node and its headers, production packages, the compiled project, its tests as plain modules.
//   node scripts/gpu/pack.mjs [--dataset DIR] [--out .gpu] [--limit MiB]
// There, in a copy of the repository with the folder: source .gpu/unpack.sh && node scripts/gpu/check.mjs     (docs/gpu.md)
import { spawn } from "node:child_process";
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseFlags } from "../parseFlags.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { values: flags } = parseFlags(import.meta.url, {
  options: {
    dataset: { type: "string" },
    out: { type: "string", default: ".gpu" },
    limit: { type: "string", default: "64" },
    "skip-build": { type: "boolean", default: false },
  },
});
process.chdir(root);
const out = resolve(flags.out);
const mebibytes = (bytes) => (bytes / 2 ** 20).toFixed(1);

/** Runs a shell command with the arguments as $1, $2…; resolves to its output. */
function sh(script, ...args) {
  return new Promise((done, fail) => {
    const child = spawn("bash", ["-c", `set -euo pipefail; ${script}`, "pack", ...args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (part) => (text += part));
    child.on("error", fail);
    child.on("close", (status) => (status === 0 ? done(text) : fail(new Error(`${script}: ended with ${status}`))));
  });
}

/** Folders of the packages that a production installation has, read from the lock file: nothing is downloaded. */
function productionPackages() {
  const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8"));
  return Object.entries(packages)
    .filter(
      ([path, one]) =>
        path.startsWith("node_modules/") && !(one.dev || one.devOptional || one.optional || one.peer || one.link),
    )
    .map(([path]) => path)
    .filter((path) => existsSync(path));
}

/** Of a package, what never runs: source maps, bundles for browsers, type declarations, TensorFlow.js's own tests. */
const unused = [
  ...["*.map", "*.d.ts", "*.d.mts", "*.d.cts", "*.md", "*_test.js", "node_modules/*/node_modules/@types"],
  ...[
    "node_modules/echarts/dist",
    "node_modules/echarts/i18n",
    "node_modules/apache-arrow/*.min.js",
    "node_modules/apache-arrow/src",
  ],
  ...[
    "node_modules/@tensorflow/*/src",
    "node_modules/@tensorflow/*/dist/*.min.js",
    "*/dist/*fesm*",
    "*/dist/*.es2017*",
  ],
].map((pattern) => `--exclude=${pattern}`);

const started = Date.now();
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const exclude = (await sh("git rev-parse --git-path info/exclude")).trim();
const ignored = `/${relative(root, out)}/`;
if (!existsSync(exclude) || !readFileSync(exclude, "utf8").split("\n").includes(ignored)) {
  mkdirSync(dirname(exclude), { recursive: true });
  appendFileSync(exclude, `${ignored}\n`);
}
if (!flags["skip-build"]) await sh("npm run --silent build >&2");
await sh("node scripts/gpu/bundle.mjs >&2");

const nodePrefix = resolve(dirname(process.execPath), "..");
const headers = [nodePrefix, "/usr", "/usr/local"].find((prefix) =>
  existsSync(join(prefix, "include/node/node_api.h")),
);
if (headers === undefined)
  throw new Error("Node's C headers are missing: they come with nodejs.org's archives and with libnode-dev");
const tree = [...productionPackages(), "dist", "oclif.manifest.json", "packages/tfjs-backend-torch/dist"];
await Promise.all([
  sh('xz -T0 -6 -c "$1" > "$2"', process.execPath, join(out, "node.xz")),
  // Only Node-API: V8's headers are not for addons like this one.
  sh('cd "$1/include/node" && tar -cJf "$2" node_api*.h js_native_api*.h', headers, join(out, "headers.tar.xz")),
  sh('o=$1; shift; tar -c "$@" | xz -T0 -6 > "$o"', join(out, "tree.tar.xz"), ...unused, ...tree),
  ...(flags.dataset
    ? [sh('tar -c -C "$1" . | xz -T0 -6 > "$2"', resolve(flags.dataset), join(out, "dataset.tar.xz"))]
    : []),
]);
copyFileSync("scripts/gpu/unpack.sh", join(out, "unpack.sh"));

const files = ["node.xz", "headers.tar.xz", "tree.tar.xz", "dataset.tar.xz"].filter((name) =>
  existsSync(join(out, name)),
);
const sizes = files.map((name) => [name, statSync(join(out, name)).size]);
const repository = Number(
  (await sh("git ls-files -z --cached --others --exclude-standard | xargs -0 du -cb | tail -1")).split("\t")[0],
);
for (const [name, size] of [...sizes, ["repository", repository]])
  console.log(`${mebibytes(size).padStart(6)} MiB  ${name}`);
const total = sizes.reduce((sum, [, size]) => sum + size, repository);
const seconds = Math.round((Date.now() - started) / 1000);
console.log(
  `${mebibytes(total).padStart(6)} MiB  travel, of ${flags.limit} allowed; packed in ${seconds} s into ${relative(process.cwd(), out)}`,
);
writeFileSync(join(out, "sizes.json"), `${JSON.stringify({ ...Object.fromEntries(sizes), repository, total })}\n`);
if (total > Number(flags.limit) * 2 ** 20) {
  console.error("error: too large: take a smaller dataset, or raise --limit");
  process.exitCode = 1;
}
