/**
 * Counter-based random numbers: every value is a pure function of a key and an index, so nothing has to be saved to resume, and
 * no two users of the root seed share a stream by accident.
 *
 * The generator is sfc32 seeded by a 128-bit hash of the key's parts; a stream is cheap to make (about a microsecond).
 */

/** A generator of uniform 32-bit integers and what is built on them. */
export interface RandomStream {
  /** Uniform integer in [0, 2^32). */
  uint32(): number;
  /** Uniform in [0, 1) with 53 bits. */
  float(): number;
  /** Uniform integer in [0, bound), without modulo bias. `bound` at most 2^32. */
  integer(bound: number): number;
  /** Standard normal (Box–Muller). */
  normal(): number;
}

/** Numbers that are left out at a stream's start. */
const warmUp = 12;

function mix(h: number, value: number): number {
  let x = Math.imul(h ^ value, 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** The four 32-bit words that sfc32 starts from for a key, before its first number. */
export function randomState(...key: (number | string)[]): [number, number, number, number] {
  let a = 0x9e3779b9;
  let b = 0x243f6a88;
  let c = 0xb7e15162;
  let d = 0x6a09e667;
  const absorb = (value: number): void => {
    a = mix(a, value);
    b = mix(b ^ a, value + 0x7f4a7c15);
    c = mix(c ^ b, value + 0x165667b1);
    d = mix(d ^ c, value + 0x27d4eb2f);
  };
  for (const part of key) {
    if (typeof part === "number") {
      absorb(1);
      absorb(part >>> 0);
      absorb(Math.floor(part / 2 ** 32) >>> 0);
    } else {
      absorb(2 + part.length);
      for (let i = 0; i < part.length; i++) absorb(part.charCodeAt(i));
    }
  }
  return [a, b, c, d];
}

/**
 * A random stream for a key: the root seed first, then names and numbers that say what it is for, as in
 * `randomStream(seed, "noise", language, epoch, segment)`. Numbers are taken as 64-bit integers (safe integers only).
 */
export function randomStream(...key: (number | string)[]): RandomStream {
  let [a, b, c, d] = randomState(...key);
  const uint32 = (): number => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return t >>> 0;
  };
  for (let i = 0; i < warmUp; i++) uint32();
  const float = (): number => ((uint32() >>> 5) * 2 ** 26 + (uint32() >>> 6)) / 2 ** 53;
  const integer = (bound: number): number => {
    const limit = 2 ** 32 - (2 ** 32 % bound);
    let value = uint32();
    while (value >= limit) value = uint32();
    return value % bound;
  };
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - float())) * Math.cos(2 * Math.PI * float());
  return { uint32, float, integer, normal };
}
