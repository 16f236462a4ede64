// Compiles native/cuda/*.cu with nvcc where libtorch has CUDA and nvcc is of the same major version.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";

/** Compute capabilities: A100, consumer Ampere, Ada, H100; newer devices compile the last one's PTX. */
const architectures = ["80", "86", "89", "90"];

/** Where nvcc is: { home, version } or { missing: why }. CUDA_HOME, CUDA_PATH, /usr/local/cuda, then PATH. */
export function findNvcc(torch, env = process.env) {
  if (!torch.cuda) return { missing: "libtorch is for the CPU only" };
  const onPath = spawnSync("sh", ["-c", 'readlink -f "$(command -v nvcc)"'], { encoding: "utf8" }).stdout.trim();
  const homes = [env.CUDA_HOME, env.CUDA_PATH, "/usr/local/cuda", onPath && resolve(onPath, "../..")];
  const home = homes.find(
    (folder) => folder && existsSync(join(folder, "bin", "nvcc")) && existsSync(join(folder, "include")),
  );
  if (!home) return { missing: "no nvcc (CUDA_HOME, /usr/local/cuda and PATH were looked in)" };
  const { stdout } = spawnSync(join(home, "bin", "nvcc"), ["--version"], { encoding: "utf8" });
  const version = /release ([\d.]+)/.exec(stdout ?? "")?.[1] ?? "unknown";
  const major = torch.cudaVersion?.split(".")[0];
  if (major && version.split(".")[0] !== major) {
    return { missing: `nvcc ${version} at ${home} is not of libtorch's CUDA ${torch.cudaVersion}` };
  }
  return { home, version };
}

/** Compiles the kernels into `folder`/build/cuda and gives the objects' paths. Throws where nvcc fails. */
export function compileCuda(folder, home) {
  const out = join(folder, "build", "cuda");
  mkdirSync(out, { recursive: true });
  const targets = architectures.map((one) => `-gencode=arch=compute_${one},code=sm_${one}`);
  const newest = architectures.at(-1);
  targets.push(`-gencode=arch=compute_${newest},code=compute_${newest}`);
  return readdirSync(join(folder, "native", "cuda"))
    .filter((name) => name.endsWith(".cu"))
    .map((name) => {
      const object = join(out, name.replace(/\.cu$/, ".o"));
      const flags = [
        `-I${join(folder, "native")}`,
        "-std=c++17",
        "-O3",
        "-Xcompiler",
        "-fPIC,-fvisibility=hidden,-Wall",
        ...targets,
      ];
      const source = join(folder, "native", "cuda", name);
      const { status } = spawnSync(join(home, "bin", "nvcc"), [...flags, "-c", source, "-o", object], {
        stdio: ["ignore", 2, 2],
      });
      if (status !== 0) throw new Error(`nvcc failed on ${name}; its messages are above`);
      return object;
    });
}
