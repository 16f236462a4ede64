// Compiles and links the addon against a CUDA build of PyTorch, without touching the one in use and without running it:
//   LIBTORCH=DIR npm run check:cuda      (or a Python whose torch has CUDA, found as by build:native)
import { cpSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { compile, requireTorch } from "./buildNative.mjs";

const home = resolve(dirname(fileURLToPath(import.meta.url)), "..");

const torch = requireTorch();
if (!torch.cuda) {
  console.error(`check:cuda needs a CUDA build of PyTorch: ${torch.root} (${torch.version}) is for the CPU only`);
  process.exit(1);
}
const folder = mkdtempSync(join(tmpdir(), "tfjs-torch-cuda-"));
try {
  cpSync(join(home, "native"), join(folder, "native"), { recursive: true });
  cpSync(join(home, "binding.gyp"), join(folder, "binding.gyp"));
  compile(folder, torch);
  if (!existsSync(join(folder, "build", "Release", "tfjs_torch.node")))
    throw new Error("no addon came out of the build");
  console.log(
    `compiles and links against libtorch ${torch.version} with CUDA ${torch.cudaVersion ?? "of unknown version"}`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
