import { defineConfig } from "vitest/config";

const gemm = ["test/gemm.test.ts"];

/** Matrix products by each of the kernels (`native/cpu/gemm/choice.h`); where the CPU lacks one, the test says so and passes. */
const ways = [
  ...["library", "float32", "fp16", "amx", "avx512"].map((name) => `bfloat16:${name},float32:library`),
  "bfloat16:float32,float32:avx512",
].map((way) => ({
  extends: true as const,
  test: { name: way, include: gemm, env: { TFJS_TORCH_GEMM: way } },
}));

export default defineConfig({
  test: {
    globalSetup: "../../test/globalSetup.ts",
    setupFiles: "../../test/fixedSeeds.ts",
    maxWorkers: 2,
    testTimeout: 180_000,
    projects: [{ extends: true, test: { name: "torch", include: ["test/**/*.test.ts"], exclude: gemm } }, ...ways],
  },
});
