// Builds build/Release/tfjs_torch.node against the libtorch that findTorch.mjs finds. Does nothing when what is there was made
// from the same sources, libtorch, Node and compiler. Downloads nothing.
//   npm run build:native            --force builds anyway; --if-possible ends with 0 where something is missing
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { compileCuda, findNvcc } from "./compileCuda.mjs";
import { findTorch } from "./findTorch.mjs";

const home = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const require = createRequire(import.meta.url);

class BuildError extends Error {}

function compilerVersion() {
  const compiler = process.env.CXX ?? "g++";
  // "ccache g++" is a program and its argument, as make reads it.
  const [program, ...options] = compiler.trim().split(/\s+/);
  const { status, stdout } = spawnSync(program, [...options, "--version"], { encoding: "utf8" });
  if (status !== 0) {
    throw new BuildError(
      `no C++ compiler: "${compiler}" does not run. Install one (Debian: apt install g++ make; macOS: xcode-select --install) or set CXX.`,
    );
  }
  if (spawnSync("make", ["--version"]).status !== 0) {
    throw new BuildError("make is missing. Install it (Debian: apt install make; macOS: xcode-select --install).");
  }
  return stdout.split("\n")[0];
}

/** The folder that holds include/node: node-gyp would download headers without it. */
function nodeDirectory() {
  const candidates = [process.env.npm_config_nodedir, resolve(dirname(process.execPath), ".."), "/usr", "/usr/local"];
  const found = candidates.find((folder) => folder && existsSync(join(folder, "include", "node", "node_api.h")));
  if (found === undefined) {
    throw new BuildError(
      "Node's C headers are missing. They come with nodejs.org's archives and with the package libnode-dev; or set npm_config_nodedir.",
    );
  }
  return found;
}

function fingerprint(torch, compiler) {
  const hash = createHash("sha256");
  const native = join(home, "native");
  for (const file of readdirSync(native, { recursive: true }).sort()) {
    if (/\.(cc|h|cu)$/.test(file)) hash.update(file).update(readFileSync(join(native, file)));
  }
  hash.update(readFileSync(join(home, "binding.gyp"))).update(readFileSync(fileURLToPath(import.meta.url)));
  const { size, mtimeMs } = statSync(torch.library);
  hash.update(
    JSON.stringify([
      torch,
      size,
      mtimeMs,
      compiler,
      findNvcc(torch),
      process.versions.modules,
      process.arch,
      process.platform,
    ]),
  );
  return hash.digest("hex");
}

/**
 * Compiles what every source includes once, with the very flags that gyp wrote: ATen's headers are most of a file's time (11 s of
 * 12, then 3). Not under ccache, which keeps more.
 */
function precompileHeaders(folder) {
  const header = join(folder, "build", "pch.h");
  writeFileSync(header, '#include "../native/runtime/call.h"\n');
  const rule = `include tfjs_torch.target.mk
pch.h.gch:
\t$(CXX) $(DEFS_Release) $(INCS_Release) $(CFLAGS_Release) $(filter-out -include ${header},$(CFLAGS_CC_Release)) -x c++-header ${header} -o ${header}.gch
`;
  writeFileSync(join(folder, "build", "pch.mk"), rule);
  spawnSync("make", ["-s", "-C", join(folder, "build"), "-f", "pch.mk", "pch.h.gch"], { stdio: ["ignore", 2, 2] });
  // Where that failed the header itself is included, which takes longer and is the same.
  return () => rmSync(`${header}.gch`, { force: true });
}

/** Runs node-gyp in a folder that holds binding.gyp and native/. */
export function compile(folder, torch) {
  compilerVersion();
  const gyp = require.resolve("node-gyp/bin/node-gyp.js");
  const addonApi = dirname(require.resolve("node-addon-api/package.json"));
  const jobs = process.env.JOBS ?? String(availableParallelism());
  const precompile = process.platform === "linux" && !/ccache|clang/.test(process.env.CXX ?? "g++");
  const nvcc = findNvcc(torch);
  if (torch.cuda && nvcc.missing) console.error(`without own CUDA kernels and graphs: ${nvcc.missing}`);
  const flags = [
    `-Dtorch_root=${torch.root}`,
    `-Dtorch_abi=${torch.abi}`,
    `-Dtorch_cuda=${torch.cuda ? 1 : 0}`,
    `-Daddon_api=${addonApi}`,
    `-Dcuda_home=${nvcc.home ?? ""}`,
    `-Dcuda_objects=${nvcc.home ? compileCuda(folder, nvcc.home).join(" ") : ""}`,
    `-Dtorch_pch=${precompile ? join(folder, "build", "pch.h") : ""}`,
  ];
  const run = (command, options, variables = []) => {
    const args = [gyp, command, ...options, `--nodedir=${nodeDirectory()}`, "--loglevel=warn"];
    const { status } = spawnSync(process.execPath, [...args, ...variables], { cwd: folder, stdio: ["ignore", 2, 2] });
    if (status !== 0)
      throw new BuildError(`the compiler failed; its messages are above (libtorch ${torch.version}, ${torch.root})`);
  };
  run("configure", [], ["--", ...flags]);
  const forget = precompile ? precompileHeaders(folder) : () => {};
  try {
    run("build", ["-j", jobs]);
  } finally {
    forget();
  }
}

export function requireTorch() {
  const { torch, tried } = findTorch();
  if (torch !== null) return torch;
  const list = tried.map((line) => `  ${line}`).join("\n");
  throw new BuildError(
    `no libtorch found. Looked in:\n${list}\nInstall PyTorch 2.6 or newer (pip install torch) and activate its environment, or set LIBTORCH to an unpacked libtorch.`,
  );
}

function build(force) {
  const torch = requireTorch();
  const print = fingerprint(torch, compilerVersion());
  const marker = join(home, "build", "fingerprint.json");
  const addon = join(home, "build", "Release", "tfjs_torch.node");
  const what = `libtorch ${torch.version}${torch.cuda ? ` with CUDA ${torch.cudaVersion ?? ""}` : ", CPU only"} (${torch.from}: ${torch.root})`;
  if (!force && existsSync(addon) && existsSync(marker) && JSON.parse(readFileSync(marker, "utf8")).print === print) {
    console.error(`tfjs_torch.node is up to date: ${what}`);
    return;
  }
  console.error(`building tfjs_torch.node against ${what}: a few minutes, once`);
  const started = Date.now();
  mkdirSync(join(home, "build"), { recursive: true });
  compile(home, torch);
  writeFileSync(marker, `${JSON.stringify({ print, torch }, null, 2)}\n`);
  console.error(`built in ${Math.round((Date.now() - started) / 1000)} s`);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    build(process.argv.includes("--force"));
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(`tfjs_torch.node was not built: ${error.message}`);
    process.exitCode = process.argv.includes("--if-possible") ? 0 : 1;
  }
}
