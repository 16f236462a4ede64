/** Words of more bytes are not worth keeping: in scripts without spaces they are sentences, which do not come again. */
export const maxCachedBytes = 96;

const tableBits = 18;
const entries = 2 ** tableBits;
const arenaWords = 2 ** 21;

/** A word as it stands in a text: `bytes[start, end)`. */
export interface RawWord {
  bytes: Uint8Array;
  start: number;
  end: number;
  hash: number;
}

/** What it becomes: `ids[first, last)`, while the score before it is nearer to 0 than `limit`. */
export interface WordIds {
  ids: Uint32Array;
  first: number;
  last: number;
  limit: number;
}

/**
 * Remembers the ids of raw words. A table with open addressing, and an arena in which a word's bytes and its ids lie together: to
 * find a word and read its ids touches two places in memory. When either is full all of it is forgotten, which is cheaper and
 * simpler than to choose, and text fills it again soon. What it gives never depends on what it has kept, only the time does.
 */
export class WordCache {
  /** Ids of entry `e` are `arena[firstId(e), firstId(e) + idCount(e))`. */
  readonly arena = new Int32Array(arenaWords);
  /** Four words an entry: hash; place in the arena; bytes of the word, and number of ids times 256; limit (a float). */
  private readonly table = new Int32Array(4 * entries);
  private readonly limits = new Float32Array(this.table.buffer);
  private readonly keys = new Uint8Array(this.arena.buffer);
  private arenaUsed = 0;
  private count = 0;

  /** The entry of the word `bytes[start, end)`, or `-1 - slot`, where `insert` may put it. */
  find(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const { table, keys } = this;
    const length = end - start;
    let at = slotOf(hash);
    for (;;) {
      const stored = table[4 * at + 2] & 0xff;
      if (stored === 0) return -1 - at;
      if (table[4 * at] === hash && stored === length) {
        const key = 4 * table[4 * at + 1];
        let i = 0;
        while (i < length && keys[key + i] === bytes[start + i]) i++;
        if (i === length) return at;
      }
      at = (at + 1) & (entries - 1);
    }
  }

  idCount(entry: number): number {
    return this.table[4 * entry + 2] >>> 8;
  }

  firstId(entry: number): number {
    return this.table[4 * entry + 1] + wordsFor(this.table[4 * entry + 2] & 0xff);
  }

  /** The ids hold while the score before the word is nearer to 0 than this. */
  limit(entry: number): number {
    return this.limits[4 * entry + 3];
  }

  /** Keeps a word (1 to `maxCachedBytes` bytes) at a free slot that `find` named. */
  insert(slot: number, { bytes, start, end, hash }: RawWord, { ids, first, last, limit }: WordIds): void {
    const length = end - start;
    const needed = wordsFor(length) + last - first;
    if (this.arenaUsed + needed > arenaWords || this.count > entries / 2) {
      this.table.fill(0);
      this.arenaUsed = this.count = 0;
    }
    const at = this.count === 0 ? slotOf(hash) : -1 - slot;
    this.count++;
    this.table[4 * at] = hash;
    this.table[4 * at + 1] = this.arenaUsed;
    this.table[4 * at + 2] = length | ((last - first) << 8);
    // Rounded towards 0, to be on the safe side.
    this.limits[4 * at + 3] = limit * (1 - 2 ** -23);
    const { keys, arena } = this;
    const key = 4 * this.arenaUsed - start;
    for (let i = start; i < end; i++) keys[key + i] = bytes[i];
    const id = this.arenaUsed + wordsFor(length) - first;
    for (let i = first; i < last; i++) arena[id + i] = ids[i];
    this.arenaUsed += needed;
  }
}

function slotOf(hash: number): number {
  return (hash ^ (hash >>> 15)) & (entries - 1);
}

/** 32-bit words that hold so many bytes. */
function wordsFor(bytes: number): number {
  return (bytes + 3) >> 2;
}
