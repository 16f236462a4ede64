// Builds an addon whose operations take their path for CUDA on the CPU's memory, with the kernels of native/cuda run by
// test/kernels/include: build/emulated/Release/tfjs_torch.node. TFJS_TORCH_ADDON=PATH then makes `torch` that path, and tests hold its ATen
// calls, shapes, dtypes and kernels to the references; TFJS_TORCH_ENTERED=FILE lists what was entered. Streams, graphs and the device's
// speed are not in it. Only sources that depend on CUDA are compiled: the others' objects are those of npm run build:native, which must
// be current.
//   node scripts/emulateCuda.mjs        prints the addon's path
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { requireTorch } from "./buildNative.mjs";
import { BuildError, compileAddon, objectName } from "./compileAddon.mjs";

const home = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/** C++ of a source of CUDA: memory whose size the launch gives; without directives that only nvcc knows. */
export const asCpp = (cuda) =>
  cuda
    .replace(
      /extern __shared__ (\w+) (\w+)\[\];/g,
      "$1* const $2 = reinterpret_cast<$1*>(emulated::dynamicShared.data());",
    )
    .replaceAll("#pragma unroll", "");

/** Files under a folder. */
const filesIn = (folder) =>
  readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => statSync(join(folder, file)).isFile());

/**
 * Copies the sources that are not the same with and without CUDA, those of CUDA as C++. A file that stays the same is not written, so that
 * its object stays current.
 *
 * @returns the sources that were left
 */
function copySources(from, to) {
  const wanted = new Map();
  const left = [];
  for (const file of filesIn(from).filter((name) => /\.(cc|cu)$/.test(name))) {
    const text = readFileSync(join(from, file), "utf8");
    if (file.endsWith(".cu")) wanted.set(`${file}.cc`, asCpp(text));
    else if (/TFJS_TORCH_(EMULATED_)?CUDA/.test(text)) wanted.set(file, text);
    else left.push(file);
  }
  for (const [file, text] of wanted) {
    const path = join(to, file);
    if (existsSync(path) && readFileSync(path, "utf8") === text) continue;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  for (const file of existsSync(to) ? filesIn(to) : []) if (!wanted.has(file)) rmSync(join(to, file));
  return left;
}

export async function buildEmulated() {
  const torch = requireTorch();
  // Objects of a build for CUDA are for the device.
  if (torch.cuda) throw new BuildError(`the emulated build needs a PyTorch for the CPU; ${torch.root} has CUDA`);
  const build = join(home, "build");
  const out = join(build, "emulated");
  const source = join(out, "native");
  const same = copySources(join(home, "native"), source);
  const { addon } = await compileAddon({
    source,
    out,
    torch,
    defines: ["TFJS_TORCH_CUDA", "TFJS_TORCH_EMULATED_CUDA"],
    includes: [join(home, "test", "kernels", "include"), join(home, "native")],
    flags: ["-O1"],
    objects: same.map((file) => join(build, "objects", objectName(file))),
  });
  return addon;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) console.log(await buildEmulated());
