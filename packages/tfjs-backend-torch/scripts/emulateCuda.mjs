// Builds an addon whose operations take their path for CUDA on the CPU's memory, with the kernels of native/cuda run as fibers
// (test/kernels/include): build/emulated/Release/tfjs_torch.node. TFJS_TORCH_ADDON=PATH then makes `torch` that path, and tests hold its ATen
// calls, shapes, dtypes and kernels to the references. Streams, graphs and the device's speed are not in it.
//   node scripts/emulateCuda.mjs        prints the addon's path
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { requireTorch } from "./buildNative.mjs";
import { compileAddon } from "./compileAddon.mjs";

const home = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/** C++ of a source of CUDA: memory whose size the launch gives. */
export const asCpp = (cuda) =>
  cuda.replace(
    /extern __shared__ (\w+) (\w+)\[\];/g,
    "$1* const $2 = reinterpret_cast<$1*>(emulated::dynamicShared.data());",
  );

/** Copies the sources, those of CUDA as C++. A file that stays the same is not written, so that its object stays current. */
function copySources(from, to) {
  const wanted = new Map();
  for (const file of readdirSync(from, { recursive: true, encoding: "utf8" })) {
    if (!statSync(join(from, file)).isFile()) continue;
    const text = readFileSync(join(from, file), "utf8");
    wanted.set(file.endsWith(".cu") ? `${file}.cc` : file, file.endsWith(".cu") ? asCpp(text) : text);
  }
  for (const [file, text] of wanted) {
    const path = join(to, file);
    if (existsSync(path) && readFileSync(path, "utf8") === text) continue;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  for (const file of readdirSync(to, { recursive: true, encoding: "utf8" })) {
    if (!wanted.has(file) && statSync(join(to, file)).isFile()) rmSync(join(to, file));
  }
}

export async function buildEmulated() {
  const out = join(home, "build", "emulated");
  const source = join(out, "native");
  copySources(join(home, "native"), source);
  const { addon } = await compileAddon({
    source,
    out,
    // What is linked is what libtorch has for the CPU, whether it has CUDA or not.
    torch: { ...requireTorch(), cuda: false },
    defines: ["TFJS_TORCH_CUDA", "TFJS_TORCH_EMULATED_CUDA"],
    includes: [join(home, "test", "kernels", "include")],
  });
  return addon;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) console.log(await buildEmulated());
