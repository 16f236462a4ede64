// Compiles and links the addon against a CUDA build of PyTorch, without touching the one in use and without running it, and prints
// what each kernel takes of a multiprocessor: registers, shared memory, spills.
//   LIBTORCH=DIR npm run check:cuda      (or a Python whose torch has CUDA, found as by build:native)
//   --kernels    the kernels only, for every architecture of --architectures 80,90,100
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { requireTorch } from "./buildNative.mjs";
import { compileAddon } from "./compileAddon.mjs";
import { findNvcc, nvccFlags } from "./nvcc.mjs";

const source = join(resolve(dirname(fileURLToPath(import.meta.url)), ".."), "native");
const { values: flags } = parseArgs({
  options: { kernels: { type: "boolean", default: false }, architectures: { type: "string", default: "80,90,100" } },
});

const torch = requireTorch();
if (!torch.cuda) {
  console.error(`check:cuda needs a CUDA build of PyTorch: ${torch.root} (${torch.version}) is for the CPU only`);
  process.exit(1);
}
const nvcc = findNvcc(torch);
if (nvcc.missing) console.error(`without own CUDA kernels and graphs: ${nvcc.missing}`);

/** Lines of `ptxas -v`, one a kernel and architecture: "norm.cu sm_90 normKernel<4, float, …>: 40 registers, 0 bytes spilled". */
function resources(file, output) {
  const demangled = spawnSync("c++filt", { input: output, encoding: "utf8" });
  const lines = [];
  let kernel = "";
  let spills = "";
  for (const line of (demangled.stdout || output).split("\n")) {
    kernel = /Compiling entry function '(.*)' for '(sm_\w+)'/.exec(line)?.slice(1, 3).reverse().join(" ") ?? kernel;
    spills = /(\d+) bytes spill stores, \d+ bytes spill loads/.exec(line)?.[1] ?? spills;
    const used = /Used (\d+) registers(.*)/.exec(line);
    if (used) lines.push(`${file} ${kernel}: ${used[1]} registers, ${spills || "?"} bytes spilled${used[2]}`);
  }
  return lines;
}

const folder = mkdtempSync(join(tmpdir(), "tfjs-torch-cuda-"));
try {
  let spilled = 0;
  for (const file of nvcc.missing ? [] : readdirSync(join(source, "cuda")).filter((name) => name.endsWith(".cu"))) {
    const args = [
      ...nvccFlags(source, flags.architectures.split(",")),
      "-Xptxas",
      "-v",
      "-c",
      join(source, "cuda", file),
    ];
    const { status, stderr } = spawnSync(join(nvcc.home, "bin", "nvcc"), [...args, "-o", join(folder, "kernel.o")], {
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`nvcc ${nvcc.version} failed on ${file}:\n${stderr}`);
    const lines = resources(file, stderr);
    spilled += lines.filter((line) => !line.includes(" 0 bytes spilled")).length;
    console.log(lines.join("\n"));
  }
  if (!nvcc.missing)
    console.log(`nvcc ${nvcc.version} for sm ${flags.architectures}: ${spilled} kernels spill registers`);
  if (!flags.kernels) {
    await compileAddon({ source, out: folder, torch, cudaHome: nvcc.home });
    console.log(
      `compiles and links against libtorch ${torch.version} with CUDA ${torch.cudaVersion ?? "of unknown version"}`,
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
