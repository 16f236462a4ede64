// Builds build/Release/tfjs_torch.node against the libtorch that findTorch.mjs finds. Does nothing when what is there was made
// from the same sources, libtorch, Node and compiler. Downloads nothing.
//   npm run build:native            --force builds anyway; --if-possible ends with 0 where something is missing
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { BuildError, compileAddon, compiler, extraFlags } from "./compileAddon.mjs";
import { findTorch } from "./findTorch.mjs";
import { findNvcc } from "./nvcc.mjs";

const home = resolve(dirname(fileURLToPath(import.meta.url)), "..");

function fingerprint(torch, compilerVersion) {
  const hash = createHash("sha256");
  const native = join(home, "native");
  for (const file of readdirSync(native, { recursive: true }).sort()) {
    if (/\.(cc|h|cu)$/.test(file)) hash.update(file).update(readFileSync(join(native, file)));
  }
  for (const script of ["compileAddon.mjs", "nvcc.mjs"]) hash.update(readFileSync(join(home, "scripts", script)));
  const { size, mtimeMs } = statSync(torch.library);
  const { modules } = process.versions;
  const machine = [process.arch, process.platform, process.env.TFJS_TORCH_CUDA_ARCHITECTURES, ...extraFlags()];
  hash.update(JSON.stringify([torch, size, mtimeMs, compilerVersion, findNvcc(torch), modules, ...machine]));
  return hash.digest("hex");
}

export function requireTorch() {
  const { torch, tried } = findTorch();
  if (torch !== null) return torch;
  const list = tried.map((line) => `  ${line}`).join("\n");
  throw new BuildError(
    `no libtorch found. Looked in:\n${list}\nInstall PyTorch 2.6 or newer (pip install torch) and activate its environment, or set LIBTORCH to an unpacked libtorch.`,
  );
}

async function build(force) {
  const torch = requireTorch();
  const print = fingerprint(torch, compiler().version);
  const out = join(home, "build");
  const marker = join(out, "fingerprint.json");
  const addon = join(out, "Release", "tfjs_torch.node");
  const cuda = torch.cuda ? ` with CUDA ${torch.cudaVersion ?? "of unknown version"}` : ", CPU only";
  const what = `libtorch ${torch.version}${cuda} (${torch.from}: ${torch.root})`;
  if (!force && existsSync(addon) && existsSync(marker) && JSON.parse(readFileSync(marker, "utf8")).print === print) {
    console.error(`tfjs_torch.node is up to date: ${what}`);
    return;
  }
  console.error(`building tfjs_torch.node against ${what}: a few minutes, once`);
  const nvcc = findNvcc(torch);
  if (torch.cuda && nvcc.missing) console.error(`without own CUDA kernels and graphs: ${nvcc.missing}`);
  const started = Date.now();
  if (force) rmSync(join(out, "objects"), { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const made = await compileAddon({ source: join(home, "native"), out, torch, cudaHome: nvcc.home });
  writeFileSync(marker, `${JSON.stringify({ print, torch }, null, 2)}\n`);
  console.error(
    `built in ${Math.round((Date.now() - started) / 1000)} s, ${made.compiled} of ${made.of} sources compiled`,
  );
}

/** @param {string[]} options --force, --if-possible. Says on stderr why nothing was built, and sets the exit code. */
export async function runBuild(options) {
  try {
    await build(options.includes("--force"));
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(`tfjs_torch.node was not built: ${error.message}`);
    process.exitCode = options.includes("--if-possible") ? 0 : 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await runBuild(process.argv.slice(2));
