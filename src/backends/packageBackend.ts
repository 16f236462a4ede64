import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import * as tf from "@tensorflow/tfjs-core";
import { MswitchError, messageOf } from "../base/errors.js";

export interface PackageBackend {
  /** The user's own installation, never a dependency of ours. */
  packageName: string;
  /** The name under which the package registers itself with TensorFlow.js. */
  backend: string;
}

/**
 * Loads a backend from a package of the user's, looked for from the working directory first and then from this package. A second
 * copy of tfjs-core that comes with it shares our engine and kernel registry, which live on globalThis.
 */
export async function loadPackageBackend({ packageName, backend }: PackageBackend): Promise<string> {
  const found = findPackage(packageName);
  if (!found) {
    throw new MswitchError(`${packageName} is not installed`, {
      code: "backend-not-installed",
      hint: `npm install ${packageName}`,
    });
  }
  const why = (cause: unknown): MswitchError =>
    new MswitchError(`${packageName} is installed but does not load`, {
      code: "backend-not-loadable",
      where: found.entry,
      why: firstLine(messageOf(cause)),
      hint: `npm rebuild ${packageName}, or another --backend`,
      cause,
    });
  try {
    await import(pathToFileURL(found.entry).href);
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

function findPackage(packageName: string): { entry: string; version: string } | undefined {
  for (const base of [join(process.cwd(), "package.json"), import.meta.url]) {
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
