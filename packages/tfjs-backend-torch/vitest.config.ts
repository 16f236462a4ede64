import { defineConfig } from "vitest/config";

const products = "test/narrowProducts.test.ts";

/** Products of bfloat16 by each way that this CPU has: `native/cpu/gemm/bf16_gemm.h`. What it lacks, it takes another way. */
const ways = ["library", "float32", "half", "amx"].map((way) => ({
  extends: true as const,
  test: { name: way, include: [products], env: { TFJS_TORCH_NARROW_PRODUCTS: way } },
}));

export default defineConfig({
  test: {
    globalSetup: "../../test/globalSetup.ts",
    setupFiles: "../../test/fixedSeeds.ts",
    maxWorkers: 1,
    testTimeout: 60_000,
    projects: [
      { extends: true, test: { name: "torch", include: ["test/**/*.test.ts"], exclude: [products] } },
      ...ways,
    ],
  },
});
