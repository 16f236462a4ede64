import type * as tf from "@tensorflow/tfjs-core";

/** What one Switch layer did with a batch. */
export interface RouterReport {
  /** `encoder.1`, `decoder.3`, … */
  layer: string;
  /** Share of the routed tokens that chose each expert, before capacity, [experts]; sums to 1. */
  load: tf.Tensor1D;
  /** Share of the routed tokens that found their expert full. */
  fractionDropped: tf.Scalar;
  /** Mean gate: the router's probability of the chosen expert. */
  meanGateProbability: tf.Scalar;
  /** Routed tokens of each row that chose each expert, [B, experts]. Padding is never counted. */
  expertCounts: tf.Tensor2D;
}

/** Frees the tensors of reports. */
export function disposeReports(reports: RouterReport[]): void {
  for (const report of reports) {
    report.load.dispose();
    report.fractionDropped.dispose();
    report.meanGateProbability.dispose();
    report.expertCounts.dispose();
  }
}
