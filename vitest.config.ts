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
    // One more than two cores: the tests of whole commands wait for processes a third of their time.
    maxWorkers: 3,
    testTimeout: 180_000,
    hookTimeout: 120_000,
  },
});
