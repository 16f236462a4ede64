// Makes plain modules, which node runs without vitest, jasmine and esbuild, of the tests that are worth running on a device:
//   dist/gpu/tests/*.mjs      test files with the sources that they test
//   dist/tools/goldenCli.js   the model against Transformers' numbers
//   packages/tfjs-backend-torch/dist/conformance.mjs      TensorFlow.js's own tests
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { bundleConformance } from "../../packages/tfjs-backend-torch/conformance/bundle.mjs";
import { bundleTool } from "../runTs.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { build } = createRequire(join(root, "packages/tfjs-backend-torch/package.json"))("esbuild");
const out = join(root, "dist/gpu/tests");

/** Tests of operations, model and training step; on a machine with CUDA `torch` is the device. */
const tests = [
  ...[
    ...["src/ops", "src/ops/decode", "src/ops/moe", "src/ops/optimizers", "src/ops/random"],
    ...["src/model", "src/model/generate"],
  ].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith(".test.ts"))
      .map((name) => join(folder, name)),
  ),
  ...["src/train/step.test.ts", "src/train/optimizer.test.ts", "test/deviceParity.test.ts"],
];

/** Sources ask where they lie, for wasm files, workers and golden cases: they keep their own places. */
const keepPlaces = {
  name: "places",
  setup(build) {
    build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const place = `new URL(${JSON.stringify(relative(out, path))}, import.meta.url).href`;
      return { loader: "ts", contents: readFileSync(path, "utf8").replaceAll("import.meta.url", place) };
    });
  },
};

async function bundleTest(file) {
  await build({
    stdin: {
      contents: `import ${JSON.stringify(`./${file}`)};\nimport { runAll } from "vitest";\nawait runAll();\n`,
      resolveDir: root,
      loader: "js",
    },
    outfile: join(out, file.replaceAll("/", ".").replace(/\.test\.ts$/, ".mjs")),
    ...{ bundle: true, format: "esm", platform: "node", target: "node20", logLevel: "error" },
    // One copy of TensorFlow.js and of the backend, as the modules in dist have them.
    external: ["@tensorflow/*", "@mswitch/*", "sentencepiece-js"],
    nodePaths: [join(root, "node_modules")],
    alias: { vitest: resolve(root, "scripts/gpu/vitestShim.mjs") },
    plugins: [keepPlaces],
    banner: {
      js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);',
    },
  });
}

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await Promise.all(tests.map(bundleTest));
await bundleTool(join(root, "test/golden/goldenCli.ts"));
await bundleConformance();
console.log(`${tests.length} test files, golden cases and conformance as plain modules in dist`);
