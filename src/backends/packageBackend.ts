import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { MswitchError, messageOf } from "../base/errors.js";
import { userCache } from "../base/userCache.js";

export interface PackageBackend {
  /** The user's own installation, never a dependency of ours. */
  packageName: string;
  /** The name under which the package registers itself with TensorFlow.js. */
  backend: string;
}

/** Where `mswitch setup` puts a package that npm has no binary of. */
export function tensorFlowHome(name: string): string {
  return userCache(name);
}

/** The addon of `captureStderr.c`, as `mswitch setup` compiles it in a package's folder. */
export function captureAddon(home: string): string {
  return join(home, "stderr", "build", "Release", "captureStderr.node");
}

/**
 * Loads a backend from a package of the user's, looked for from the working directory first, then from this package, then in the
 * folder of `mswitch setup`. A second
 * copy of tfjs-core that comes with it shares our engine and kernel registry, which live on globalThis.
 */
export async function loadPackageBackend({ packageName, backend }: PackageBackend): Promise<string> {
  const found = findPackage(packageName);
  if (!found) {
    throw new MswitchError(`${packageName} is not installed`, {
      code: "backend-not-installed",
      hint: `mswitch setup ${setupName(packageName)}`,
    });
  }
  const why = (cause: unknown): MswitchError =>
    new MswitchError(`${packageName} is installed but does not load`, {
      code: "backend-not-loadable",
      where: found.entry,
      why: firstLine(messageOf(cause)),
      hint: `mswitch setup ${setupName(packageName)}, npm rebuild ${packageName}, or another --backend`,
      cause,
    });
  restoreRemovedUtilities();
  // TensorFlow writes its start-up notes to stderr: only its errors are wanted there.
  process.env.TF_CPP_MIN_LOG_LEVEL ??= "2";
  try {
    loadQuietly(found.entry, captureAddon(tensorFlowHome(setupName(packageName))));
  } catch (error) {
    throw why(error);
  }
  if (!tf.engine().registryFactory[backend]) throw why(new Error(`it registers no backend named "${backend}"`));
  const done = await tf.setBackend(backend).catch((error: unknown) => {
    throw why(error);
  });
  if (!done) throw why(new Error("its backend did not start"));
  return `${packageName} ${found.version}`;
}

/**
 * Loads a module without the two lines that libtensorflow 2.21 writes from its static initializers, before it reads any setting. Without the
 * addon they stay.
 */
function loadQuietly(entry: string, addon: string): void {
  const require = createRequire(import.meta.url);
  if (!existsSync(addon)) return void require(entry);
  let failure: { error: unknown } | undefined;
  const captureStderr = require(addon) as (work: () => void) => string;
  const written = captureStderr(() => {
    try {
      require(entry);
    } catch (error) {
      failure = { error };
    }
  });
  const others = written
    .split("\n")
    .filter((line) => !/ before absl::InitializeLog\(\)| oneDNN custom operations are on/.test(line));
  process.stderr.write(others.join("\n"));
  if (failure) throw failure.error;
}

/** Node.js 23 removed from `util` what tfjs-node 4.22 calls for every operation, and warns of `isArray`. */
function restoreRemovedUtilities(): void {
  const util = createRequire(import.meta.url)("node:util") as Record<string, unknown>;
  util.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  util.isArray = Array.isArray;
}

function setupName(packageName: string): string {
  return packageName.replace("@tensorflow/", "");
}

function findPackage(packageName: string): { entry: string; version: string } | undefined {
  const home = tensorFlowHome(setupName(packageName));
  for (const base of [join(process.cwd(), "package.json"), import.meta.url, join(home, "package.json")]) {
    const require = createRequire(base);
    try {
      const entry = require.resolve(packageName);
      const { version } = require(`${packageName}/package.json`) as { version: string };
      return { entry, version };
    } catch {
      // Not there: look in the next place.
    }
  }
  return undefined;
}

function firstLine(text: string): string {
  return text.split("\n")[0];
}
