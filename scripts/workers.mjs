// After the compiler: each worker module as one file with the parts of its dependencies it uses, in the place of the compiled one. A
// thread has no modules when it starts, and loading hundreds of files takes most of its start.
import { fileURLToPath } from "node:url";
import { build } from "rolldown";

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
for (const worker of ["dataset/shardWorker", "stream/prefetchWorker"]) {
  await build({
    input: path(`src/${worker}.ts`),
    platform: "node",
    // Loaded only where a model needs it.
    external: ["sentencepiece-js"],
    output: { file: path(`dist/${worker}.js`), format: "es", sourcemap: true },
    logLevel: "warn",
  });
}
