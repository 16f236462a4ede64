import { randomStream } from "../base/random.js";

/** Even, so both halves are mixed equally. Small domains need more rounds than large ones to look shuffled; 12 serve both. */
const rounds = 12;

/** A hash of `value` (below 2^27) under a round's key, uniform in [0, 2^32). */
function hash(value: number, key: number): number {
  let x = Math.imul(value ^ key, 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13) ^ (key >>> 7), 0xc2b2ae35);
  x = Math.imul(x ^ (x >>> 16), 0x27d4eb2f);
  return (x ^ (x >>> 15)) >>> 0;
}

/**
 * A pseudo-random permutation of [0, n) that is evaluated at any index on demand, with no table: an alternating Feistel network
 * on the rectangle [0, a) × [0, b), a·b just above n, that walks on where it leaves [0, n) (Black and Rogaway, "Ciphers with
 * arbitrary finite domains", 2002). Constant memory, under a microsecond an index.
 *
 * @param n any safe integer from 1
 * @param key as for `randomStream`: another key, another permutation
 */
export function permutation(n: number, ...key: (number | string)[]): (index: number) => number {
  const a = Math.ceil(Math.sqrt(n));
  const b = Math.ceil(n / a);
  const random = randomStream(...key);
  const keys = Uint32Array.from({ length: rounds }, () => random.uint32());
  const once = (index: number): number => {
    let left = index % a;
    let right = Math.floor(index / a);
    for (let round = 0; round < rounds; round += 2) {
      left = (left + hash(right, keys[round])) % a;
      right = (right + hash(left, keys[round + 1])) % b;
    }
    return right * a + left;
  };
  return (index) => {
    let image = once(index);
    while (image >= n) image = once(image);
    return image;
  };
}
