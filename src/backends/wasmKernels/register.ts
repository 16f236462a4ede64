import { getKernel, registerKernel, unregisterKernel } from "@tensorflow/tfjs-core";
import { batchMatMulConfig } from "./batchMatMul.js";
import { columnReductionConfigs } from "./columnSum.js";
import { unsortedSegmentSumConfig } from "./unsortedSegmentSum.js";

let registered = false;

/** Gives the wasm backend what it lacks and what it does slowly. Call before the backend is first set. */
export function registerWasmKernels(): void {
  if (registered) return;
  registered = true;
  for (const config of [batchMatMulConfig, ...columnReductionConfigs(), unsortedSegmentSumConfig]) {
    if (getKernel(config.kernelName, "wasm")) unregisterKernel(config.kernelName, "wasm");
    registerKernel(config);
  }
}
