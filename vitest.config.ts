import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      // In one process after another file: TensorFlow.js, the backends and what files share are loaded once, which halves their time.
      { extends: true, test: { name: "units", include: ["{src,data}/**/*.test.ts"], isolate: false } },
      // Two workers keep two cores busy: a command's second thread would only wait. The units above hold kernels to their references on all.
      {
        extends: true,
        test: {
          name: "commands",
          include: ["test/**/*.test.ts"],
          env: { OMP_NUM_THREADS: process.env.OMP_NUM_THREADS ?? "1" },
        },
      },
    ],
    globalSetup: "test/globalSetup.ts",
    setupFiles: "test/fixedSeeds.ts",
    // A worker and a WebAssembly module are no imports of their tests.
    watchTriggerPatterns: [
      { pattern: /src\/stream\/.*Worker\.ts$/, testsToRun: () => ["src/stream/prefetch/prefetch.test.ts"] },
      {
        pattern: /src\/dataset\/preprocess\/(?:shardWorker|tokenizeShard)\.ts$/,
        testsToRun: () => ["src/dataset/preprocess/shardPool.test.ts"],
      },
      {
        pattern: /assembly\/.*\.ts$/,
        testsToRun: () => [
          "src/vocab/encode/createEncoder.test.ts",
          "src/corpus/read/inflater.test.ts",
          "src/corpus/read/textFinder.test.ts",
        ],
      },
    ],
    // Two cores: more workers only make the crash tests' timing noisier (three take as long as two).
    maxWorkers: 2,
    testTimeout: 180_000,
    hookTimeout: 120_000,
  },
});
