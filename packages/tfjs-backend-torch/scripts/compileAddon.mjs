// Compiles and links native/ with the C++ compiler and, for CUDA, nvcc: no other tool takes part. An object is compiled again when
// its command, its source or a header that it includes has changed.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { nvccFlags } from "./nvcc.mjs";

const require = createRequire(import.meta.url);
const isMac = process.platform === "darwin";

export class BuildError extends Error {}

/** The C++ compiler as a list: `CXX` may be a program with arguments, as in "ccache g++". */
export function compiler() {
  const command = (process.env.CXX ?? "g++").trim().split(/\s+/);
  const { status, stdout } = spawnSync(command[0], [...command.slice(1), "--version"], { encoding: "utf8" });
  if (status !== 0) {
    throw new BuildError(
      `no C++ compiler: "${command.join(" ")}" does not run. Install one (Debian: apt install g++; macOS: xcode-select --install) or set CXX.`,
    );
  }
  return { command, version: stdout.split("\n")[0] };
}

/** The folder of node_api.h. It comes with nodejs.org's archives and with Debian's libnode-dev. */
function nodeHeaders() {
  const prefixes = [process.env.npm_config_nodedir, resolve(dirname(process.execPath), ".."), "/usr", "/usr/local"];
  const folders = prefixes.filter(Boolean).map((prefix) => join(prefix, "include", "node"));
  const found = folders.find((folder) => existsSync(join(folder, "node_api.h")));
  if (found === undefined) {
    throw new BuildError(
      "Node's C headers are missing. They come with nodejs.org's archives and with the package libnode-dev; or set npm_config_nodedir.",
    );
  }
  return found;
}

/** `CXXFLAGS` of the environment as a list: taken last. */
export const extraFlags = () => (process.env.CXXFLAGS ?? "").split(/\s+/).filter(Boolean);

/** Flags of every C++ source. libtorch's headers are C++17 up to 2.11 and C++20 after; C++20 compiles both. */
function cxxFlags({ source, torch, cudaHome, defines, includes, flags }) {
  return [
    ...["-std=gnu++20", "-O2", "-fPIC", "-pthread", "-fvisibility=hidden", "-Wall", "-Wextra"],
    // No one reads floating point's exceptions; without -fno-trapping-math loops with a choice in them are computed under masks.
    "-fno-trapping-math",
    // Gives at::parallel_for its threads; the runtime is the one that libtorch brings.
    ...(isMac ? [] : ["-fopenmp"]),
    // A worker that is being ended can throw nothing to JavaScript any more; without the third, that would end the process.
    ...["NAPI_VERSION=8", "NAPI_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"].map((one) => `-D${one}`),
    ...["BUILDING_NODE_EXTENSION", "NODE_GYP_MODULE_NAME=tfjs_torch"].map((one) => `-D${one}`),
    `-D_GLIBCXX_USE_CXX11_ABI=${torch.abi}`,
    ...defines.map((one) => `-D${one}`),
    ...[...includes, source].map((folder) => `-I${folder}`),
    // System headers: their warnings are not ours.
    ...[
      dirname(require.resolve("node-addon-api/package.json")),
      nodeHeaders(),
      join(torch.root, "include"),
      join(torch.root, "include", "torch", "csrc", "api", "include"),
    ].flatMap((folder) => ["-isystem", folder]),
    // Searched last: where Gloo's own headers are, they are taken.
    ...["-idirafter", join(source, "distributed", "gloo_stubs")],
    ...(cudaHome ? ["-DTFJS_TORCH_CUDA", "-DTFJS_TORCH_SEEK_NCCL", "-isystem", join(cudaHome, "include")] : []),
    // NCCL's header, in its own wheel beside torch's; what c10d's NCCL names of other CUDA libraries, where the toolkit has no headers of them.
    ...(cudaHome
      ? [join(torch.root, "..", "nvidia", "nccl", "include"), join(source, "distributed", "cuda_stubs")]
      : []
    ).flatMap((folder) => ["-idirafter", folder]),
    ...flags,
    ...extraFlags(),
  ];
}

function linkFlags(torch) {
  const cuda = torch.cuda ? ["-ltorch_cuda", "-lc10_cuda"] : [];
  const library = join(torch.root, "lib");
  if (isMac)
    return ["-bundle", "-undefined", "dynamic_lookup", `-L${library}`, "-ltorch_cpu", "-lc10", `-Wl,-rpath,${library}`];
  // The addon and libtorch stay mapped when a worker that loaded them ends: their thread-local destructors may run later.
  // CUDA's runtime is the one that libtorch brings: nothing more is linked.
  const torchLibraries = ["-Wl,--no-as-needed", "-ltorch_cpu", "-lc10", ...cuda];
  return ["-shared", "-pthread", `-L${library}`, ...torchLibraries, `-Wl,-rpath,${library}`, "-Wl,-z,nodelete"];
}

/** An object's file name: its source's path in the folder of sources. */
export const objectName = (file) => `${file.replaceAll(/[\\/]/g, "_")}.o`;

/** Whether an object is as new as its command, its source and every header that the compiler found in it. */
function isCurrent({ object, command }) {
  if (!existsSync(object) || !existsSync(`${object}.d`) || !existsSync(`${object}.cmd`)) return false;
  if (readFileSync(`${object}.cmd`, "utf8") !== command.join("\n")) return false;
  const made = statSync(object).mtimeMs;
  const inputs = readFileSync(`${object}.d`, "utf8")
    .replace(/^[^:]*:/, "")
    .split(/[\s\\]+/)
    .filter(Boolean);
  return inputs.every((file) => file.includes("pch.h") || (existsSync(file) && statSync(file).mtimeMs <= made));
}

/** Runs one compiler; what it says goes to stderr in one piece. */
function runCompiler(command) {
  return new Promise((done, fail) => {
    const child = spawn(command[0], command.slice(1), { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (said += text));
    child.on("error", fail);
    child.on("close", (status) => {
      if (said) process.stderr.write(said);
      if (status === 0) done();
      else fail(new BuildError(`the compiler failed on ${command.at(-1)}; its messages are above`));
    });
  });
}

/** Runs tasks, `jobs` at a time, in order. */
async function inParallel(tasks, jobs) {
  const queue = [...tasks];
  await Promise.all(
    Array.from({ length: Math.max(1, jobs) }, async () => {
      while (queue.length > 0) await runCompiler(queue.shift().command);
    }),
  );
}

/**
 * Builds `out`/Release/tfjs_torch.node.
 *
 * @param source folder of the C++ and CUDA sources
 * @param out folder for objects and the result
 * @param torch what findTorch found
 * @param cudaHome toolkit for the CUDA kernels and graphs; left out: without them
 * @param defines, includes, flags more of them, for checks; flags are the linker's too
 * @param objects of another build, linked with them
 */
export async function compileAddon({
  source,
  out,
  torch,
  cudaHome,
  defines = [],
  includes = [],
  flags: more = [],
  objects: ready = [],
}) {
  const { command: cxx } = compiler();
  const flags = cxxFlags({ source, torch, cudaHome, defines, includes, flags: more });
  const objects = join(out, "objects");
  mkdirSync(join(out, "Release"), { recursive: true });
  mkdirSync(objects, { recursive: true });
  const files = readdirSync(source, { recursive: true, encoding: "utf8" });
  const objectOf = (file) => join(objects, objectName(file));
  // -MMD: the headers that the source includes, for the next build.
  const task = (file, front, back) => {
    const object = objectOf(file);
    return { object, command: [...front, "-MMD", "-MF", `${object}.d`, "-o", object, ...back, join(source, file)] };
  };
  const size = (file) => statSync(join(source, file)).size;
  const cpp = files.filter((file) => file.endsWith(".cc")).sort((a, b) => size(b) - size(a));
  const cu = cudaHome ? files.filter((file) => file.endsWith(".cu")).sort() : [];
  const kernels = cu.map((file) => task(file, [join(cudaHome, "bin", "nvcc"), ...nvccFlags(source)], ["-c"]));
  // What every source includes is compiled once: ATen's headers are most of a file's time (11 s of 12, then 3). Not under ccache,
  // which keeps more.
  const header = join(objects, "pch.h");
  const precompile = !/ccache|clang/.test(cxx.join(" ")) && !isMac;
  // Nobody reads errno of a square root: with it a loop that has one is not vectorised.
  const own = (file) => (file.startsWith("optim") ? ["-fno-math-errno"] : []);
  const sources = cpp.map((file) =>
    task(file, [...cxx, ...flags, ...own(file), ...(precompile ? ["-include", header] : [])], ["-c"]),
  );
  const all = [...kernels, ...sources];
  const stale = all.filter((one) => !isCurrent(one));
  const jobs = Number(process.env.JOBS ?? availableParallelism());
  for (const { object } of stale) rmSync(object, { force: true });
  if (precompile && stale.some((one) => sources.includes(one))) {
    writeFileSync(header, '#include "runtime/call.h"\n');
    await runCompiler([...cxx, ...flags, "-x", "c++-header", "-o", `${header}.gch`, header]);
  }
  try {
    await inParallel(stale, jobs);
  } finally {
    rmSync(`${header}.gch`, { force: true });
  }
  for (const { object, command } of stale) writeFileSync(`${object}.cmd`, command.join("\n"));
  const addon = join(out, "Release", "tfjs_torch.node");
  await runCompiler([...cxx, ...more, ...all.map(({ object }) => object), ...ready, ...linkFlags(torch), "-o", addon]);
  return { addon, compiled: stale.length, of: all.length };
}
