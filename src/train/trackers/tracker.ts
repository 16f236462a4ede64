/** Values of a run's configuration by dotted key: `optimizer.learningRate.base`. */
export type HyperParameters = Record<string, string | number | boolean>;

/** A place outside the run's own files that follows a run: TensorBoard's event files, W&B, MLflow, trackio. */
export interface Tracker {
  /** Takes what was measured at a step: finite numbers by name, `train/loss`. */
  scalars(step: number, values: Record<string, number>): Promise<void>;
  close(): Promise<void>;
}

/** A configuration as trackers take it: one level, lists as JSON. */
export function hyperParametersOf(config: object, prefix = ""): HyperParameters {
  return Object.assign(
    {},
    ...Object.entries(config).map(([key, value]: [string, unknown]): HyperParameters => {
      const path = prefix === "" ? key : `${prefix}.${key}`;
      if (value === undefined) return {};
      if (typeof value === "object" && value !== null && !Array.isArray(value)) return hyperParametersOf(value, path);
      const isPlain = typeof value === "number" || typeof value === "string" || typeof value === "boolean";
      return { [path]: isPlain ? value : JSON.stringify(value) };
    }),
  );
}
