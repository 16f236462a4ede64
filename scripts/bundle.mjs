// After the compiler: modules at which a thread or a command's work starts, each as one file with the parts of its dependencies it
// uses, in the place of the compiled one. Loading their hundreds of files one by one takes most of a short run.
import { fileURLToPath } from "node:url";
import { build } from "rolldown";

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
for (const module of [
  "dataset/preprocess/preprocess",
  "dataset/preprocess/shardWorker",
  "stream/prefetch/prefetchWorker",
]) {
  await build({
    input: path(`src/${module}.ts`),
    platform: "node",
    // Loaded only where a model needs it.
    external: ["sentencepiece-js"],
    // The command, which tells our errors from others, must know the same class.
    plugins: [
      {
        name: "errors",
        resolveId: (id) =>
          id.endsWith("/base/errors.js") ? { id: "../../base/errors.js", external: "relative" } : null,
      },
    ],
    output: {
      file: path(`dist/${module}.js`),
      format: "es",
      sourcemap: true,
      banner: "// Holds parts of this package's dependencies. Their licences: node_modules/*/LICENSE*.",
    },
    logLevel: "warn",
  });
}
