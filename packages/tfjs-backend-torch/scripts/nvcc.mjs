// CUDA's compiler: where it is and how it is called.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";

/** Compute capabilities: A100, consumer Ampere, Ada, H100; newer devices compile the last one's PTX. */
const architectures = (process.env.TFJS_TORCH_CUDA_ARCHITECTURES ?? "80,86,89,90").split(",");

/** Where nvcc is: { home, version } or { missing: why }. CUDA_HOME, CUDA_PATH, /usr/local/cuda*, then PATH. */
export function findNvcc(torch, env = process.env) {
  if (!torch.cuda) return { missing: "libtorch is for the CPU only" };
  const onPath = spawnSync("sh", ["-c", 'readlink -f "$(command -v nvcc)"'], { encoding: "utf8" }).stdout.trim();
  const usual = existsSync("/usr/local") ? readdirSync("/usr/local").filter((name) => name.startsWith("cuda")) : [];
  const folders = [
    env.CUDA_HOME,
    env.CUDA_PATH,
    ...usual.map((name) => join("/usr/local", name)),
    onPath && resolve(onPath, "../.."),
  ];
  // A program of this name without its headers is a link or a wrapper script.
  const homes = folders.filter(
    (folder) =>
      folder && existsSync(join(folder, "bin", "nvcc")) && existsSync(join(folder, "include", "cuda_runtime_api.h")),
  );
  if (homes.length === 0)
    return { missing: "no nvcc with its headers (CUDA_HOME, CUDA_PATH, /usr/local/cuda* and PATH were looked in)" };
  const found = homes.map((home) => {
    const { stdout } = spawnSync(join(home, "bin", "nvcc"), ["--version"], { encoding: "utf8" });
    return { home, version: /release ([\d.]+)/.exec(stdout ?? "")?.[1] ?? "unknown" };
  });
  const major = (version) => version?.split(".")[0];
  const fitting = found.find(({ version }) => !torch.cudaVersion || major(version) === major(torch.cudaVersion));
  if (fitting) return fitting;
  const list = found.map(({ home, version }) => `${version} at ${home}`).join(", ");
  return { missing: `no nvcc of libtorch's CUDA ${torch.cudaVersion}: ${list}` };
}

/** nvcc's arguments for a kernel of `source`, less input and output. `TFJS_TORCH_CUDA_ARCHITECTURES=90` builds for one device. */
export function nvccFlags(source, targets = architectures) {
  const code = targets.map((one) => `-gencode=arch=compute_${one},code=sm_${one}`);
  const newest = targets.at(-1);
  return [
    ...["-std=c++17", "-O3", `-I${source}`, "-Xcompiler", "-fPIC,-fvisibility=hidden,-Wall"],
    ...code,
    `-gencode=arch=compute_${newest},code=compute_${newest}`,
  ];
}
