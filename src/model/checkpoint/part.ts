/** A block of a tensor: where it begins, and its shape. */
export interface Part {
  begin: number[];
  shape: number[];
}

/** A part's values, in order, of those of the whole. */
export function valuesOfPart(values: Float32Array, whole: readonly number[], { begin, shape }: Part): Float32Array {
  if (shape.join() === whole.join()) return values;
  const product = (sizes: readonly number[]): number => sizes.reduce((all, size) => all * size, 1);
  const out = new Float32Array(product(shape));
  // Up to the last axis that is split, what lies together is copied at once.
  let last = whole.length - 1;
  while (shape[last] === whole[last]) last--;
  const inner = product(whole.slice(last + 1));
  const copy = (axis: number, from: number, to: number): void => {
    if (axis === last) {
      const first = from + begin[axis] * inner;
      out.set(values.subarray(first, first + shape[axis] * inner), to);
      return;
    }
    const [stride, own] = [product(whole.slice(axis + 1)), product(shape.slice(axis + 1))];
    for (let i = 0; i < shape[axis]; i++) copy(axis + 1, from + (begin[axis] + i) * stride, to + i * own);
  };
  copy(0, 0, 0);
  return out;
}
