// Formats C++ and CUDA sources as .clang-format says, or checks that they are. What clang-format writes differs between its versions,
// so another one than `madeWith` is not asked. The program is `clang-format-14`, `clang-format`, or what CLANG_FORMAT names.
//   node scripts/clangFormat.mjs [FILE...]     checks; without files all sources of the packages
//   node scripts/clangFormat.mjs --write       formats
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const madeWith = 14;
const home = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const folders = ["native", "test", "conformance"].map((name) => join(home, "packages", "tfjs-backend-torch", name));

function majorVersion(program) {
  const { stdout } = spawnSync(program, ["--version"], { encoding: "utf8" });
  const [, version] = /version (\d+)\./.exec(stdout ?? "") ?? [];
  return version === undefined ? undefined : Number(version);
}

function sourcesIn(folder) {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => /\.(cc|h|cu|cuh)$/.test(file))
    .map((file) => join(folder, file));
}

const args = process.argv.slice(2);
const isWriting = args.includes("--write");
const named = args.filter((arg) => arg !== "--write");
const files = named.length > 0 ? named : folders.flatMap(sourcesIn).sort();
const programs = process.env.CLANG_FORMAT ? [process.env.CLANG_FORMAT] : [`clang-format-${madeWith}`, "clang-format"];
const found = programs.map((program) => ({ program, version: majorVersion(program) }));
const usable = found.find(({ version }) => version === madeWith);
if (usable === undefined) {
  const others = found.filter(({ version }) => version !== undefined).map(({ version }) => `version ${version}`);
  console.error(
    `C++ and CUDA formatting left out: it needs clang-format ${madeWith} (pip install clang-format==14.0.6); here: ${others.join(", ") || "none"}`,
  );
} else {
  const mode = isWriting ? ["-i"] : ["--dry-run", "--Werror"];
  const { status } = spawnSync(usable.program, [...mode, ...files], { stdio: "inherit" });
  const what = files.length === 1 ? relative(home, resolve(files[0])) : `${files.length} C++ and CUDA files`;
  if (status === 0) console.error(`clang-format ${madeWith}: ${what} ${isWriting ? "formatted" : "as they should be"}`);
  else console.error(`clang-format ${madeWith}: not formatted; npm run format mends it`);
  process.exitCode = status ?? 1;
}
