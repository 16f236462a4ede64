import { spawn } from "node:child_process";
import { appendFile, copyFile, lstat, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { packageRoot } from "../base/builtCode.js";
import { exitCode, MswitchError, messageOf } from "../base/errors.js";
import { makeDirectory } from "../base/files/makeDirectory.js";
import type { Log } from "../base/log.js";
import { captureAddon, tensorFlowHome } from "./packageBackend.js";

/** TensorFlow.js's version here: the binding's own copy must speak with ours. */
const tfjsVersion = "4.22.0";

export interface TensorFlowSetup {
  name: "tfjs-node" | "tfjs-node-gpu";
  /** Python with pip and venv: where TensorFlow's library comes from. */
  python: string;
  /** What pip installs for it; by the name where left out. */
  tensorflow?: string;
  log: Log;
  signal: AbortSignal;
}

/**
 * Makes `@tensorflow/tfjs-node` (or `-gpu`) where npm has no binary of it: the package's own binding, unchanged, compiled against the
 * libtensorflow that pip installs (`tensorflow-cpu`, or `tensorflow[and-cuda]`). All of it lies in one folder of the user's cache, where
 * `loadBackend` looks after the working directory and this package. Needs Python 3 with pip, npm, make and a C++17 compiler.
 *
 * @returns the folder, and what a first product on it said
 * @throws MswitchError `setup-failed` with the last lines of the step that failed; the folder's setup.log has all
 */
export async function setupTensorFlow({
  name,
  python,
  tensorflow: given,
  log,
  signal,
}: TensorFlowSetup): Promise<{ folder: string; tensorFlow: string }> {
  const folder = tensorFlowHome(name);
  const logFile = join(folder, "setup.log");
  makeDirectory(folder);
  await writeFile(logFile, "");
  const step = async (
    what: string,
    program: string,
    args: string[],
    options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
  ) => {
    log.info(what);
    return await run(program, args, { cwd: folder, ...options, logFile, signal }).catch((cause: unknown) => {
      if (signal.aborted)
        throw new MswitchError("interrupted", { code: "interrupted", exitCode: exitCode.interrupted });
      throw new MswitchError(`${what}: that failed`, {
        code: "setup-failed",
        where: logFile,
        why: messageOf(cause),
        hint: hints[program] ?? hintAll,
        cause,
      });
    });
  };

  const venv = join(folder, "python");
  const pip = join(venv, "bin", "python");
  const requirement = given ?? (name === "tfjs-node-gpu" ? "tensorflow[and-cuda]" : "tensorflow-cpu");
  // What TensorFlow needs in Python is of no use here; CUDA's libraries are.
  const library = requirement.includes("[") ? [requirement] : ["--no-deps", requirement];
  await step("making a Python environment", python, ["-m", "venv", venv]);
  await step(`installing ${library.at(-1)} in it`, pip, [
    "-m",
    "pip",
    "install",
    "--quiet",
    "--disable-pip-version-check",
    ...library,
  ]);
  const purelib = await step("looking for libtensorflow", pip, [
    "-c",
    "import sysconfig; print(sysconfig.get_path('purelib'))",
  ]);
  const tensorflow = join(purelib.trim(), "tensorflow");

  await writeFile(join(folder, "package.json"), `${JSON.stringify({ private: true })}\n`);
  const packages = [`@tensorflow/${name}@${tfjsVersion}`, "node-gyp@^11"];
  await step(`installing ${packages[0]}`, "npm", [
    "install",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    ...packages,
  ]);
  const binding = join(folder, "node_modules", "@tensorflow", name);
  await linkLibrary(tensorflow, join(binding, "deps"));

  const gyp = join(folder, "node_modules", "node-gyp", "bin", "node-gyp.js");
  // Node-API is the same in all versions: headers of another Node.js do. Without any, node-gyp downloads them.
  const prefixes = [dirname(dirname(process.execPath)), "/usr/local", "/usr"];
  const found = await Promise.all(prefixes.map((prefix) => exists(join(prefix, "include", "node", "node_api.h"))));
  const prefix = prefixes.find((_, index) => found[index]);
  const nodeDir = prefix ? [`--nodedir=${prefix}`] : [];
  const module = [
    "--module_name=tfjs_binding",
    `--module_path=${join(binding, "lib", "napi-v8")}`,
    "--napi_build_version=8",
  ];
  // TensorFlow's headers are C++17; the binding's own source breaks a rule that only newer compilers hold to.
  const env = { ...process.env, CXXFLAGS: "-std=c++17 -fpermissive" };
  await step("compiling the binding", process.execPath, [gyp, "rebuild", ...nodeDir, ...module], { cwd: binding, env });
  const stderrFolder = dirname(dirname(dirname(captureAddon(folder))));
  makeDirectory(stderrFolder);
  const target = { target_name: "captureStderr", sources: ["captureStderr.c"] };
  await writeFile(join(stderrFolder, "binding.gyp"), JSON.stringify({ targets: [target] }));
  await copyFile(new URL("src/backends/captureStderr.c", packageRoot), join(stderrFolder, "captureStderr.c"));
  await step("compiling what keeps its notes off stderr", process.execPath, [gyp, "rebuild", ...nodeDir], {
    cwd: stderrFolder,
  });

  const program = `import { loadPackageBackend } from ${JSON.stringify(new URL("./packageBackend.js", import.meta.url).href)};
    import * as tf from "@tensorflow/tfjs-core";
    await loadPackageBackend({ packageName: "@tensorflow/${name}", backend: "tensorflow" });
    if (tf.matMul(tf.ones([2, 3]), tf.ones([3, 2])).dataSync().join() !== "3,3,3,3") throw new Error("a product is wrong");
    console.log(tf.backend().binding.TF_Version);`;
  const quiet = { ...process.env, TF_CPP_MIN_LOG_LEVEL: "3" };
  const version = await step("trying it", process.execPath, ["--input-type=module", "-e", program], { env: quiet });
  return { folder, tensorFlow: version.trim().split("\n").at(-1) ?? "" };
}

const hintAll = "see that log; the same command begins anew";
const hints: Record<string, string | undefined> = {
  python3: "install Python 3 with its venv module (Debian: python3-venv), or name another with --python",
  npm: "install npm, and see whether it reaches its registry",
};

/** What the binding's own build expects in `deps`: libtensorflow under its C library's names, and its headers. */
async function linkLibrary(tensorflow: string, deps: string): Promise<void> {
  makeDirectory(join(deps, "lib"));
  makeDirectory(join(deps, "include"));
  for (const part of ["tensorflow", "tsl", "xla", "absl"]) {
    const headers = join(tensorflow, "include", part);
    if (await exists(headers)) await link(headers, join(deps, "include", part));
  }
  const files = await readdir(tensorflow);
  for (const base of ["libtensorflow_cc", "libtensorflow_framework"]) {
    const file = files.find((candidate) => candidate === `${base}.so.2`);
    if (!file)
      throw new MswitchError(`pip's TensorFlow has no ${base}.so.2`, { code: "setup-failed", where: tensorflow });
    const names = base === "libtensorflow_cc" ? ["libtensorflow.so", file] : [`${base}.so`, file];
    for (const linked of names) await link(join(tensorflow, file), join(deps, "lib", linked));
  }
}

async function link(target: string, path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
  await symlink(target, path);
}

const exists = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  );

/** Runs a program, its output to a log. @returns its stdout; rejects with the last lines of what it said */
async function run(
  program: string,
  args: string[],
  { cwd, env, logFile, signal }: { cwd: string; env?: NodeJS.ProcessEnv; logFile: string; signal: AbortSignal },
): Promise<string> {
  await appendFile(logFile, `$ ${program} ${args.join(" ")}\n`);
  const child = spawn(program, args, { cwd, env, signal, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    stdout += chunk;
    output += chunk;
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    output += chunk;
  });
  const code = await new Promise<number | null>((resolve, reject) => child.on("error", reject).on("close", resolve));
  await appendFile(logFile, output);
  if (code === 0) return stdout;
  const lines = output.trim().split("\n");
  // pip says in a line or two what is wrong, after a paragraph for each try.
  const errors = lines.filter((line) => line.startsWith("ERROR: "));
  throw new Error((errors.length > 0 ? errors : lines).slice(-5).join("\n") || `exit code ${code}`);
}
