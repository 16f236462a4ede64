/** Dtype in memory of a float32 tensor's values. */
export type Precision = "float32" | "bfloat16";

/** Name of the kernel that changes it. It exists on this backend only: ask `getKernel` before running it. */
export const precisionKernelName = "TorchPrecision";

export interface PrecisionAttrs {
  precision: Precision;
}
