// Makes one module of TensorFlow.js's published tests, this backend, jasmine and what reports them (main.mjs).
import { mkdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));

/** One level below the package, as src is, so that the addon is found at the same relative path. */
export const conformanceModule = resolve(here, "../dist/conformance.mjs");

export async function bundleConformance() {
  mkdirSync(dirname(conformanceModule), { recursive: true });
  await build({
    entryPoints: [join(here, "main.mjs")],
    outfile: conformanceModule,
    ...{ bundle: true, format: "esm", platform: "node", target: "node20", logLevel: "error" },
    mainFields: ["module", "main"],
    // The published package marks its test modules as free of side effects.
    ignoreAnnotations: true,
    banner: {
      js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);',
    },
  });
  return conformanceModule;
}
