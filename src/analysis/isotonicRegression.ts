/**
 * The rising curve nearest to a measured one in least squares: isotonic regression by pooling adjacent violators (Barlow et al.,
 * "Statistical inference under order restrictions", 1972). Values that rise already come back as they are.
 *
 * @param values at equally trusted points, in order
 * @returns as many, none below the one before it
 */
export function isotonicRegression(values: ArrayLike<number>): Float64Array {
  const means = new Float64Array(values.length);
  const sizes = new Int32Array(values.length);
  let blocks = 0;
  for (let i = 0; i < values.length; i++) {
    means[blocks] = values[i];
    sizes[blocks] = 1;
    blocks++;
    while (blocks > 1 && means[blocks - 2] > means[blocks - 1]) {
      const size = sizes[blocks - 2] + sizes[blocks - 1];
      means[blocks - 2] += ((means[blocks - 1] - means[blocks - 2]) * sizes[blocks - 1]) / size;
      sizes[blocks - 2] = size;
      blocks--;
    }
  }
  const rising = new Float64Array(values.length);
  for (let block = 0, at = 0; block < blocks; block++) {
    rising.fill(means[block], at, at + sizes[block]);
    at += sizes[block];
  }
  return rising;
}
