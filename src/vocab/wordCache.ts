/** Words of more bytes are not worth keeping: in scripts without spaces they are sentences, which do not come again. */
export const maxCachedBytes = 96;

const tableBits = 18;
const keyBytes = 6 * 2 ** 20;
const idRoom = 2 ** 20;

/**
 * Remembers the ids of raw words. Open addressing over two arenas; when either is full all of it is forgotten, which is cheaper
 * and simpler than to choose, and natural text fills it again within milliseconds. What it returns never depends on what it has
 * kept, only the time does.
 */
export class WordCache {
  /** Ids of entry `e` are `ids[idStarts[e], idStarts[e] + idCounts[e])`. */
  readonly ids = new Uint32Array(idRoom);
  readonly idStarts: Uint32Array;
  readonly idCounts: Uint32Array;
  /** The ids hold while the score before the word is nearer to 0 than this. */
  readonly limits: Float64Array;

  private readonly hashes: Int32Array;
  private readonly keyStarts: Int32Array;
  private readonly keyLengths: Uint8Array;
  private readonly keys = new Uint8Array(keyBytes);
  private keysUsed = 0;
  private idsUsed = 0;
  private entries = 0;
  private readonly mask = 2 ** tableBits - 1;

  constructor() {
    const size = 2 ** tableBits;
    this.idStarts = new Uint32Array(size);
    this.idCounts = new Uint32Array(size);
    this.limits = new Float64Array(size);
    this.hashes = new Int32Array(size);
    this.keyStarts = new Int32Array(size);
    this.keyLengths = new Uint8Array(size);
  }

  /** The entry of the word `bytes[start, end)`, or `-1 - slot`, where it may be put by `insert`. */
  find(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const { hashes, keyStarts, keyLengths, keys, mask } = this;
    const length = end - start;
    let at = (hash ^ (hash >>> 15)) & mask;
    for (;;) {
      const stored = keyLengths[at];
      if (stored === 0) return -1 - at;
      if (hashes[at] === hash && stored === length) {
        const key = keyStarts[at];
        let i = 0;
        while (i < length && keys[key + i] === bytes[start + i]) i++;
        if (i === length) return at;
      }
      at = (at + 1) & mask;
    }
  }

  /** Keeps a word (1 to `maxCachedBytes` bytes) at a free slot that `find` named. */
  insert(
    slot: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    hash: number,
    ids: Uint32Array,
    limit: number,
  ): void {
    const count = ids.length;
    let at = -1 - slot;
    if (this.keysUsed + end - start > keyBytes || this.idsUsed + count > idRoom || this.entries > (this.mask + 1) / 2) {
      this.keyLengths.fill(0);
      this.keysUsed = this.idsUsed = this.entries = 0;
      at = (hash ^ (hash >>> 15)) & this.mask;
    }
    this.entries++;
    this.hashes[at] = hash;
    this.keyStarts[at] = this.keysUsed;
    this.keyLengths[at] = end - start;
    for (let i = start; i < end; i++) this.keys[this.keysUsed++] = bytes[i];
    this.idStarts[at] = this.idsUsed;
    this.idCounts[at] = count;
    this.limits[at] = limit;
    for (let i = 0; i < count; i++) this.ids[this.idsUsed++] = ids[i];
  }
}
