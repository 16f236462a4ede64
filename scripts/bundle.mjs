// Modules at which a thread or a command's work starts, each as one file with the parts of its dependencies it uses, in the place of
// the compiled one. Loading their hundreds of files one by one takes most of a short run.
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";

const root = fileURLToPath(new URL("..", import.meta.url));

const errors = join(root, "src", "base", "errors.js");

export const bundledModules = [
  "dataset/preprocess/preprocess",
  "dataset/preprocess/shardWorker",
  "stream/prefetch/prefetchWorker",
];

/** @param module path below src without extension @returns the sources it was made of, and what was written */
export async function bundle(module) {
  const file = `dist/${module}.js`;
  const { output } = await build({
    input: `${root}src/${module}.ts`,
    platform: "node",
    // Loaded only where a model or a table of documents needs them.
    external: ["sentencepiece-js", "csv-parse", "hyparquet", "hyparquet-compressors"],
    // The command, which tells our errors from others, must know the same class.
    plugins: [
      {
        name: "errors",
        // Beside base/errors.ts the import is ./errors.js.
        resolveId: (id, importer) =>
          id.startsWith(".") && importer && resolve(importer, "..", id) === errors
            ? { id: "../../base/errors.js", external: "relative" }
            : null,
      },
    ],
    output: {
      file: `${root}${file}`,
      format: "es",
      banner: "// Holds parts of this package's dependencies. Their licences: node_modules/*/LICENSE*.",
    },
    logLevel: "warn",
  });
  const inputs = output[0].moduleIds.filter((id) => id.startsWith(`${root}src/`)).map((id) => relative(root, id));
  return { inputs, outputs: [file] };
}
