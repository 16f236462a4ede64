import { randomStream } from "../base/random.js";

/** Which example a place in the stream holds. */
export interface Place {
  /** Index of the language. */
  language: number;
  /** How many examples of that language came before. */
  example: number;
}

/** The order of languages in the stream, computed at any place without what came before. */
export interface Schedule {
  /** What the `n`-th example of the stream is, n from 0. */
  at(n: number): Place;
  /** How many of the first `n` examples each language has. */
  counts(n: number): Float64Array;
}

/** A run of about `blockSize` consecutive examples. */
interface Block {
  index: number;
  /** Places [start, start + languages.length) of the stream. */
  start: number;
  languages: Int32Array;
  /** Examples of that place's language before it, within the block. */
  ranks: Int32Array;
}

/**
 * A schedule that keeps every language within one example of its share, in closed form.
 *
 * Up to the start of block k, language L has C_L(k) = floor(k·M·p_L + φ_L) examples, with M the block size and φ_L in [0, 1) a
 * seeded phase that keeps rare languages from all being due at once. So block k starts at Σ C_L(k), holds C_L(k+1) − C_L(k)
 * examples of L (M in all, give or take the number of languages at most), and lays them out in a seeded shuffle. Only the
 * current block is kept, as a cache.
 *
 * @param blockSize 1024: large enough that a block is about as varied as independent draws would be, small enough that making
 *   one (tens of microseconds) costs nothing beside a batch
 */
export function createSchedule(probabilities: Float64Array, seed: number, blockSize = 1024): Schedule {
  const phases = probabilities.map((_, language) => randomStream(seed, "phase", language).float());
  const perBlock = probabilities.map((probability) => blockSize * probability);

  // Each operation of k·(M·p) + φ is monotone in k, rounding included, so counts never fall.
  const before = (language: number, block: number): number => Math.floor(block * perBlock[language] + phases[language]);
  const startOf = (block: number): number => {
    let start = 0;
    for (let language = 0; language < phases.length; language++) start += before(language, block);
    return start;
  };

  const makeBlock = (index: number): Block => {
    const start = startOf(index);
    const languages = new Int32Array(startOf(index + 1) - start);
    let filled = 0;
    for (let language = 0; language < phases.length; language++) {
      const end = filled + before(language, index + 1) - before(language, index);
      languages.fill(language, filled, end);
      filled = end;
    }
    const random = randomStream(seed, "block", index);
    for (let last = languages.length - 1; last > 0; last--) {
      const other = random.integer(last + 1);
      const moved = languages[last];
      languages[last] = languages[other];
      languages[other] = moved;
    }
    const seen = new Int32Array(phases.length);
    return { index, start, languages, ranks: languages.map((language) => seen[language]++) };
  };

  let current = makeBlock(0);
  const blockOf = (n: number): Block => {
    if (n >= current.start && n < current.start + current.languages.length) return current;
    // Block starts stray from k·M by less than the number of languages, so this guess is a few blocks off at most.
    let index = Math.floor(n / blockSize);
    while (startOf(index) > n) index--;
    while (startOf(index + 1) <= n) index++;
    current = makeBlock(index);
    return current;
  };

  return {
    at(n) {
      const block = blockOf(n);
      const language = block.languages[n - block.start];
      return { language, example: before(language, block.index) + block.ranks[n - block.start] };
    },
    counts(n) {
      const block = blockOf(n);
      const counts = phases.map((_, language) => before(language, block.index));
      for (const language of block.languages.subarray(0, n - block.start)) counts[language]++;
      return counts;
    },
  };
}
