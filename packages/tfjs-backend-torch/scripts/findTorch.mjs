// Where libtorch is: LIBTORCH, or the `torch` package of a Python. Reads files only; torch itself is not imported.
//   node scripts/findTorch.mjs     prints its folder, or ends with 1
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const oldest = [2, 6];

/** Pythons to ask, most explicit first. */
function pythons(env) {
  const cache = env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
  const bin = (folder) => join(folder, "bin", "python");
  return [
    ["MSWITCH_PYTHON", env.MSWITCH_PYTHON],
    ["PYTHON", env.PYTHON],
    ["VIRTUAL_ENV", env.VIRTUAL_ENV && bin(env.VIRTUAL_ENV)],
    ["python3 on PATH", "python3"],
    ["MSWITCH_VENV", env.MSWITCH_VENV && bin(env.MSWITCH_VENV)],
    ["mswitch's own environment", bin(join(cache, "mswitch", "oracles"))],
  ].filter(([, python]) => python);
}

function torchFolder(python) {
  const code =
    "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s and s.submodule_search_locations else '')";
  const { status, stdout } = spawnSync(python, ["-c", code], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : "";
}

function firstMatch(file, pattern) {
  return existsSync(file) ? (pattern.exec(readFileSync(file, "utf8"))?.[1] ?? null) : null;
}

/**
 * Describes the libtorch in a folder that holds `include` and `lib` (an unpacked libtorch, or a Python torch package).
 * Returns { error } where it cannot be used.
 */
function describe(root, from) {
  const library = ["libtorch_cpu.so", "libtorch_cpu.dylib"].find((name) => existsSync(join(root, "lib", name)));
  if (library === undefined) return { error: `${from}: no libtorch_cpu in ${join(root, "lib")}` };
  // The version's three numbers have stood in the first of these since 2.9, in the second before.
  const headers = [
    join(root, "include", "torch", "headeronly", "version.h"),
    join(root, "include", "torch", "csrc", "api", "include", "torch", "version.h"),
  ];
  const header = headers.find((file) => firstMatch(file, /#define TORCH_VERSION_MAJOR (\d+)/) !== null);
  if (header === undefined) return { error: `${from}: ${root} has no C++ headers (a distribution's split package?)` };
  const part = (name) => firstMatch(header, new RegExp(`#define TORCH_VERSION_${name} (\\d+)`));
  const version = `${part("MAJOR")}.${part("MINOR")}.${part("PATCH")}`;
  const [major, minor] = version.split(".").map(Number);
  if (major < oldest[0] || (major === oldest[0] && minor < oldest[1])) {
    return { error: `${from}: PyTorch ${version} at ${root} is older than ${oldest.join(".")}` };
  }
  const config = join(root, "share", "cmake", "Torch", "TorchConfig.cmake");
  const abi = firstMatch(config, /_GLIBCXX_USE_CXX11_ABI=(\d)/) ?? "1";
  const cudaVersion = firstMatch(join(root, "version.py"), /^cuda[^=]*= '([\d.]+)'/m);
  const cuda = existsSync(join(root, "lib", "libtorch_cuda.so"));
  return { root, from, version, abi, cuda, cudaVersion, library: join(root, "lib", library) };
}

/**
 * The first usable libtorch, or the reasons why there is none:
 * { torch: { root, from, version, abi, cuda, cudaVersion, library } | null, tried: string[] }.
 */
export function findTorch(env = process.env) {
  if (env.LIBTORCH) {
    const torch = describe(resolve(env.LIBTORCH), "LIBTORCH");
    return torch.error ? { torch: null, tried: [torch.error] } : { torch, tried: [] };
  }
  const tried = [];
  for (const [from, python] of pythons(env)) {
    const folder = torchFolder(python);
    if (folder === "") {
      tried.push(`${from}: ${python} is not there or has no torch`);
      continue;
    }
    const torch = describe(folder, from);
    if (!torch.error) return { torch, tried };
    tried.push(torch.error);
  }
  return { torch: null, tried };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { torch } = findTorch();
  if (torch === null) process.exit(1);
  console.log(torch.root);
}
