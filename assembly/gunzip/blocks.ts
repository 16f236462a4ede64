import * as huffman from "./huffman";
import * as s from "./state";
import * as status from "./status";
import { decodeSymbols } from "./symbols";

/** Where in the blocks of a member the stream stands. */
const atHead = 0;
const inStored = 1;
const inCompressed = 2;

let place: i32 = atHead;
let isLast: bool = false;
/** Bytes left of a stored block. */
let storedLeft: usize = 0;
/** Whether the tables are those of the fixed codes. */
let tablesAreFixed: bool = false;

/** The order in which a block's head has the lengths of the code of lengths. */
const lengthOrder: usize = memory.data<u8>([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]);

export function startBlocks(): void {
  place = atHead;
  isLast = false;
}

/** Inflates up to the end of the member's last block (`blockEnd`), the piece or the input, or to a fault. */
export function inflateBlocks(): i32 {
  let result: i32 = status.blockEnd;
  while (result === status.blockEnd) {
    if (place === atHead) {
      if (isLast) return status.blockEnd;
      result = readHead();
      if (result !== status.going) return result;
    }
    result = place === inStored ? copyStored() : decodeSymbols();
    if (result === status.blockEnd) place = atHead;
  }
  return result;
}

function copyStored(): i32 {
  while (storedLeft > 0) {
    if (s.outputNext >= s.pieceEnd) return status.pieceFull;
    const length = min(storedLeft, min(s.inputEnd - s.inputNext, s.pieceEnd - s.outputNext));
    if (length === 0) return status.inputNeeded;
    memory.copy(s.outputNext, s.inputNext, length);
    s.setOutput(s.outputNext + length);
    s.setInput(s.inputNext + length, 0, 0);
    storedLeft -= length;
  }
  return status.blockEnd;
}

/** Reads the head of a block as a whole or, where not all of it is there, not at all. */
function readHead(): i32 {
  s.unreadBytes();
  const next = s.inputNext;
  const bits = s.bits;
  const count = s.bitCount;
  const result = readWholeHead();
  if (result === status.inputNeeded) s.setInput(next, bits, count);
  return result;
}

function readWholeHead(): i32 {
  if (!s.hasBits(3)) return status.inputNeeded;
  const last = s.takeBits(1) !== 0;
  const type = s.takeBits(2);
  let result: i32;
  if (type === 0) result = readStoredHead();
  else if (type === 1) result = useFixedCodes();
  else if (type === 2) result = readCodes();
  else result = status.badBlockType;
  if (result === status.going) isLast = last;
  return result;
}

function readStoredHead(): i32 {
  s.skipToByte();
  if (s.inputEnd - s.inputNext < 4) return status.inputNeeded;
  const length = load<u16>(s.inputNext);
  if (length !== <u16>~load<u16>(s.inputNext, 2)) return status.badStoredLength;
  s.setInput(s.inputNext + 4, 0, 0);
  storedLeft = length;
  place = inStored;
  return status.going;
}

function useFixedCodes(): i32 {
  place = inCompressed;
  if (tablesAreFixed) return status.going;
  memory.fill(huffman.codeBits, 8, 144);
  memory.fill(huffman.codeBits + 144, 9, 112);
  memory.fill(huffman.codeBits + 256, 7, 24);
  memory.fill(huffman.codeBits + 280, 8, 8);
  huffman.buildLiterals(288);
  memory.fill(huffman.codeBits, 5, 32);
  huffman.buildDistances(huffman.codeBits, 32);
  tablesAreFixed = true;
  return status.going;
}

/** Reads the two codes of a block (RFC 1951, section 3.2.7); refuses what zlib refuses, in the same order. */
function readCodes(): i32 {
  if (!s.hasBits(14)) return status.inputNeeded;
  const literals = s.takeBits(5) + 257;
  const distances = s.takeBits(5) + 1;
  const lengths = s.takeBits(4) + 4;
  if (literals > 286 || distances > 30) return status.tooManySymbols;
  memory.fill(huffman.codeBits, 0, 19);
  for (let i: u32 = 0; i < lengths; i++) {
    if (!s.hasBits(3)) return status.inputNeeded;
    store<u8>(huffman.codeBits + <usize>load<u8>(lengthOrder + i), <u8>s.takeBits(3));
  }
  if (!huffman.buildLengths()) return status.badLengthCode;
  tablesAreFixed = false;
  const result = readCodeBits(literals + distances);
  if (result !== status.going) return result;
  if (load<u8>(huffman.codeBits, 256) === 0) return status.noEndOfBlock;
  if (!huffman.buildLiterals(literals)) return status.badLiteralCode;
  if (!huffman.buildDistances(huffman.codeBits + literals, distances)) return status.badDistanceCode;
  place = inCompressed;
  return status.going;
}

/** Reads how many bits the codes of so many symbols have. */
function readCodeBits(symbols: u32): i32 {
  let at: u32 = 0;
  while (at < symbols) {
    let entry = load<u32>(huffman.lengthTable + 4 * <usize>(<u32>s.bits & 127));
    // What is known of the next bits may not yet say which code it is.
    while (s.bitCount < (entry & 0xff)) {
      if (!s.hasBits(s.bitCount + 1)) return status.inputNeeded;
      entry = load<u32>(huffman.lengthTable + 4 * <usize>(<u32>s.bits & 127));
    }
    const used = entry & 0xff;
    const symbol = entry >>> 16;
    if (symbol < 16) {
      s.takeBits(used);
      store<u8>(huffman.codeBits + at++, <u8>symbol);
      continue;
    }
    const extra: u32 = symbol === 16 ? 2 : symbol === 17 ? 3 : 7;
    if (!s.hasBits(used + extra)) return status.inputNeeded;
    s.takeBits(used);
    if (symbol === 16 && at === 0) return status.badRepeat;
    const repeated: u8 = symbol === 16 ? load<u8>(huffman.codeBits + at - 1) : 0;
    const times = s.takeBits(extra) + (symbol === 18 ? 11 : 3);
    if (at + times > symbols) return status.badRepeat;
    memory.fill(huffman.codeBits + at, repeated, times);
    at += times;
  }
  return status.going;
}
