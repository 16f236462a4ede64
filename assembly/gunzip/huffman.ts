/**
 * Tables that decode Huffman codes, as libdeflate lays them out: a main table by the next bits, with an entry of 32 bits for each
 * value, and behind it tables for the codes that are longer.
 *
 * Low byte: bits to be used, the extra bits of a length or distance included. Next four bits: those of the code alone. Upper half:
 * the literal, or the least length or distance. The top bit marks a literal; with `exceptional` the entry is an end of the block, a
 * code that means nothing, or a pointer: bits of the table it points to in the place of the code's, and its first entry in the upper half.
 */
export const exceptional: u32 = 0x8000;
export const pointer: u32 = 0x4000;
export const endOfBlock: u32 = 0x2000;
export const meaningless: u32 = 0x1000;
const literal: u32 = 0x80000000;

export const literalBits: u32 = 11;
export const distanceBits: u32 = 8;
const lengthBits: u32 = 7;
const maxCodeBits: u32 = 15;

/** Their sizes are those of `enough` in zlib's sources for 288 and 32 symbols. */
export const literalTable: usize = memory.data(4 * 2342, 64);
export const distanceTable: usize = memory.data(4 * 402, 64);
/** For the code in which the lengths of the two codes are written. */
export const lengthTable: usize = memory.data(4 * 128, 64);

/** What each symbol means, an entry without bits of the code. */
const literalMeanings: usize = memory.data(4 * 288, 16);
const distanceMeanings: usize = memory.data(4 * 32, 16);
const lengthMeanings: usize = memory.data(4 * 19, 16);

/** The length of each symbol's code, literals and lengths first and then distances. */
export const codeBits: usize = memory.data(320, 16);

const counts: usize = memory.data(4 * 16, 16);
const starts: usize = memory.data(4 * 16, 16);
const sorted: usize = memory.data(2 * 288, 16);

let ready: bool = false;

function fillMeanings(): void {
  for (let symbol: u32 = 0; symbol < 288; symbol++) store<u32>(literalMeanings + 4 * symbol, literal | (symbol << 16));
  store<u32>(literalMeanings, exceptional | endOfBlock, 4 * 256);
  let length: u32 = 3;
  for (let symbol: u32 = 257; symbol < 285; symbol++) {
    const extra: u32 = symbol < 265 ? 0 : (symbol - 261) >> 2;
    store<u32>(literalMeanings + 4 * symbol, (length << 16) | extra);
    length += 1 << extra;
  }
  store<u32>(literalMeanings, 258 << 16, 4 * 285);
  store<u32>(literalMeanings, exceptional | meaningless, 4 * 286);
  store<u32>(literalMeanings, exceptional | meaningless, 4 * 287);
  let distance: u32 = 1;
  for (let symbol: u32 = 0; symbol < 30; symbol++) {
    const extra: u32 = symbol < 4 ? 0 : (symbol - 2) >> 1;
    store<u32>(distanceMeanings + 4 * symbol, (distance << 16) | extra);
    distance += 1 << extra;
  }
  store<u32>(distanceMeanings, exceptional | meaningless, 4 * 30);
  store<u32>(distanceMeanings, exceptional | meaningless, 4 * 31);
  for (let symbol: u32 = 0; symbol < 19; symbol++) store<u32>(lengthMeanings + 4 * symbol, symbol << 16);
  ready = true;
}

/** Builds the table of a block's literals and lengths. False where there is no such code; so with the others. */
export function buildLiterals(symbols: u32): bool {
  return build(literalTable, literalBits, literalMeanings, codeBits, symbols, true);
}

export function buildDistances(at: usize, symbols: u32): bool {
  return build(distanceTable, distanceBits, distanceMeanings, at, symbols, true);
}

export function buildLengths(): bool {
  return build(lengthTable, lengthBits, lengthMeanings, codeBits, 19, false);
}

/** The next code in the canonical order, its bits reversed. */
function codeAfter(code: u32, length: u32): u32 {
  const bit: u32 = 0x80000000 >>> clz(code ^ ((1 << length) - 1));
  return (code & (bit - 1)) | bit;
}

/**
 * Builds a table of the symbols' lengths from `lengths` on.
 *
 * @param mayLack whether a single code of one bit will do. No code at all always does, and any bit then is one that means nothing: so it is
 *   with zlib.
 */
function build(table: usize, tableBits: u32, meanings: usize, lengths: usize, symbols: u32, mayLack: bool): bool {
  if (!ready) fillMeanings();
  memory.fill(counts, 0, 4 * 16);
  for (let symbol: u32 = 0; symbol < symbols; symbol++) {
    const count = counts + 4 * <usize>load<u8>(lengths + symbol);
    store<u32>(count, load<u32>(count) + 1);
  }
  let left: i32 = 1;
  let start: u32 = 0;
  let longest: u32 = 0;
  for (let length: u32 = 1; length <= maxCodeBits; length++) {
    const count = load<u32>(counts + 4 * length);
    if (count > 0) longest = length;
    left = 2 * left - count;
    if (left < 0) return false;
    store<u32>(starts + 4 * length, start);
    start += count;
  }
  if (left > 0) {
    if (longest > 1 || (longest === 1 && !mayLack)) return false;
    for (let i: u32 = 0; i < 1 << tableBits; i++) store<u32>(table + 4 * i, exceptional | meaningless | 0x101);
    if (longest === 0) return true;
  }
  for (let symbol: u32 = 0; symbol < symbols; symbol++) {
    const length = <usize>load<u8>(lengths + symbol);
    if (length === 0) continue;
    const at = load<u32>(starts + 4 * length);
    store<u16>(sorted + 2 * at, <u16>symbol);
    store<u32>(starts + 4 * length, at + 1);
  }
  if (left > 0) {
    const entry = load<u32>(meanings + 4 * <usize>load<u16>(sorted)) + 0x101;
    for (let i: u32 = 0; i < 1 << tableBits; i += 2) store<u32>(table + 4 * i, entry);
    return true;
  }
  fill(table, tableBits, meanings, start);
  return true;
}

/** Fills a table with `symbols` sorted codes that leave nothing free. */
function fill(table: usize, tableBits: u32, meanings: usize, symbols: u32): void {
  let code: u32 = 0;
  let length: u32 = 1;
  let count = load<u32>(counts, 4);
  // Up to where the main table is filled: it is doubled with each bit.
  let size: u32 = 2;
  let end: u32 = 1 << tableBits;
  let subtable: u32 = 0;
  let prefix: u32 = 0xffffffff;
  for (let i: u32 = 0; i < symbols; i++) {
    while (count === 0) {
      if (length < tableBits) {
        memory.copy(table + 4 * size, table, 4 * size);
        size <<= 1;
      }
      length++;
      count = load<u32>(counts + 4 * length);
    }
    const meaning = load<u32>(meanings + 4 * <usize>load<u16>(sorted + 2 * i));
    if (length <= tableBits) {
      store<u32>(table + 4 * code, meaning + 0x101 * length);
    } else {
      if ((code & ((1 << tableBits) - 1)) !== prefix) {
        prefix = code & ((1 << tableBits) - 1);
        subtable = end;
        let subtableBits = length - tableBits;
        for (let used = count; used < 1 << subtableBits; ) {
          subtableBits++;
          used = 2 * used + load<u32>(counts + 4 * (tableBits + subtableBits));
        }
        end = subtable + (1 << subtableBits);
        store<u32>(table + 4 * prefix, (subtable << 16) | exceptional | pointer | (subtableBits << 8) | tableBits);
      }
      const entry = meaning + 0x101 * (length - tableBits);
      const step: u32 = 1 << (length - tableBits);
      for (let at = subtable + (code >> tableBits); at < end; at += step) store<u32>(table + 4 * at, entry);
    }
    code = codeAfter(code, length);
    count--;
  }
  for (; size < 1 << tableBits; size <<= 1) memory.copy(table + 4 * size, table, 4 * size);
}
