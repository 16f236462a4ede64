import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts", "data/**/*.test.ts"],
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
