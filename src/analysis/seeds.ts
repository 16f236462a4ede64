/** A mean over seeds with its 95 % interval by Student's t; null where a single seed says nothing of another. */
export interface SeedMean {
  mean: number;
  /** Of the seeds, with n − 1 below the sum of squares. */
  deviation: number | null;
  interval: [number, number] | null;
  seeds: number;
}

/** Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom; the normal's beyond. */
const t95 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/**
 * The mean of one value a seed. For a difference or a ratio of two variants give the values of each pair of equal seeds: what a seed
 * shares (order of data, most initial weights) is then not counted as noise.
 *
 * @returns null where there are no values
 */
export function seedMean(values: readonly number[]): SeedMean | null {
  const n = values.length;
  if (n === 0) return null;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  if (n === 1) return { mean, deviation: null, interval: null, seeds: 1 };
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1));
  const half = ((t95[n - 2] ?? 1.96) * deviation) / Math.sqrt(n);
  return { mean, deviation, interval: [mean - half, mean + half], seeds: n };
}
