/** Finds texts that occur twice, as bytes: a `Set` of 250,000 strings would take most of the time that a model takes to load. */
export class PieceTexts {
  private readonly table: Int32Array;
  private readonly ordinary: Uint8Array;

  /** The text of piece `i` is `bytes[starts[i], ends[i])`. */
  constructor(
    private readonly bytes: Uint8Array,
    private readonly starts: Uint32Array,
    private readonly ends: Uint32Array,
  ) {
    this.table = new Int32Array(2 ** Math.ceil(Math.log2(2 * starts.length + 2))).fill(-1);
    this.ordinary = new Uint8Array(starts.length);
  }

  /** Adds piece `id`. Returns the earlier piece with the same text that is ordinary, or is not, as well; or -1. */
  add(id: number, isOrdinary: boolean): number {
    const { bytes, starts, ends, table, ordinary } = this;
    const kind = isOrdinary ? 1 : 0;
    let hash = 0;
    for (let i = starts[id]; i < ends[id]; i++) hash = Math.imul(hash ^ bytes[i], 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    for (let at = (hash ^ (hash >>> 13)) & (table.length - 1); ; at = (at + 1) & (table.length - 1)) {
      const other = table[at];
      if (other < 0) {
        table[at] = id;
        ordinary[id] = kind;
        return -1;
      }
      if (ordinary[other] === kind && this.isSame(id, other)) return other;
    }
  }

  private isSame(a: number, b: number): boolean {
    const { bytes, starts, ends } = this;
    const length = ends[a] - starts[a];
    if (ends[b] - starts[b] !== length) return false;
    for (let i = 0; i < length; i++) if (bytes[starts[a] + i] !== bytes[starts[b] + i]) return false;
    return true;
  }
}
