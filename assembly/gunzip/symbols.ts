import { distanceBits, distanceTable, endOfBlock, exceptional, literalBits, literalTable, pointer } from "./huffman";
import * as s from "./state";
import * as status from "./status";

/** Bytes that one step of the fast loop reads at most, with some to spare. */
const stepBytes: usize = 32;

const literalMask: u64 = (1 << literalBits) - 1;
const distanceMask: u64 = (1 << distanceBits) - 1;

function literalEntry(bits: u64): u32 {
  return load<u32>(literalTable + ((<usize>(bits & literalMask)) << 2));
}

/** The entry in the table that `entry` points to, by the bits after those of the main table. */
function entryBehind(table: usize, entry: u32, bits: u64): u32 {
  return load<u32>(table + (((entry >>> 16) + (<u32>bits & ((1 << ((entry >>> 8) & 15)) - 1))) << 2));
}

/** The length or distance that an entry and the bits it uses, `bits` at first, stand for. */
function amount(entry: u32, bits: u64): u32 {
  return (entry >>> 16) + <u32>((bits & ~((<u64>-1) << (<u64>entry & 63))) >> (<u64>(entry >>> 8) & 63));
}

/** Copies a match in whole vectors, which may write beyond its end. */
function copyMatch(to: usize, distance: usize, length: usize): void {
  let from = to - distance;
  const end = to + length;
  if (distance >= 16) {
    v128.store(to, v128.load(from));
    for (to += 16; to < end; to += 16) {
      from += 16;
      v128.store(to, v128.load(from));
    }
  } else if (distance === 1) {
    const byte = i8x16.splat(load<u8>(from));
    for (; to < end; to += 16) v128.store(to, byte);
  } else {
    // Of eight bytes the first `distance` are right, or all of them.
    const step = min<usize>(distance, 8);
    for (; to < end; to += step) {
      store<u64>(to, load<u64>(from));
      from += step;
    }
  }
}

/**
 * Decodes a compressed block from where it stands, up to the end of the block, the piece or the input, or to a fault. As long as there
 * is input to spare it goes in steps of up to three literals or of two and a match, with no look at how many bits there are.
 */
export function decodeSymbols(): i32 {
  let p = s.inputNext;
  let bits = s.bits;
  // Only the low byte counts, in which as much is taken off as entries have in theirs.
  let count = s.bitCount;
  let out = s.outputNext;
  const pieceEnd = s.pieceEnd;
  const memberStart = s.memberStart;
  const inputEnd = s.inputEnd;
  let result: i32 = status.going;
  if (p + stepBytes <= inputEnd && out < pieceEnd) {
    const last = inputEnd - stepBytes;
    bits |= load<u64>(p) << count;
    p += 7 - ((count >>> 3) & 7);
    count |= 56;
    let entry = literalEntry(bits);
    do {
      let before = bits;
      bits >>= entry;
      count -= entry;
      if (<i32>entry < 0) {
        store<u8>(out++, entry >>> 16);
        entry = literalEntry(bits);
        before = bits;
        bits >>= entry;
        count -= entry;
        if (<i32>entry < 0) {
          store<u8>(out++, entry >>> 16);
          entry = literalEntry(bits);
          before = bits;
          bits >>= entry;
          count -= entry;
          if (<i32>entry < 0) {
            store<u8>(out++, entry >>> 16);
            bits |= load<u64>(p) << count;
            p += 7 - ((count >>> 3) & 7);
            count |= 56;
            entry = literalEntry(bits);
            continue;
          }
        }
      }
      if (entry & exceptional) {
        if (entry & pointer) {
          entry = entryBehind(literalTable, entry, bits);
          before = bits;
          bits >>= entry;
          count -= entry;
          if (<i32>entry < 0) {
            store<u8>(out++, entry >>> 16);
            bits |= load<u64>(p) << count;
            p += 7 - ((count >>> 3) & 7);
            count |= 56;
            entry = literalEntry(bits);
            continue;
          }
        }
        if (entry & exceptional) {
          result = entry & endOfBlock ? status.blockEnd : status.badLength;
          break;
        }
      }
      const length = <usize>amount(entry, before);
      bits |= load<u64>(p) << count;
      p += 7 - ((count >>> 3) & 7);
      count |= 56;
      entry = load<u32>(distanceTable + ((<usize>(bits & distanceMask)) << 2));
      if (entry & exceptional) {
        if (entry & pointer) {
          bits >>= distanceBits;
          count -= distanceBits;
          entry = entryBehind(distanceTable, entry, bits);
        }
        if (entry & exceptional) {
          result = status.badDistance;
          break;
        }
      }
      const distance = <usize>amount(entry, bits);
      bits >>= entry;
      count -= entry;
      if (distance > out - memberStart) {
        result = status.farDistance;
        break;
      }
      bits |= load<u64>(p) << count;
      p += 7 - ((count >>> 3) & 7);
      count |= 56;
      entry = literalEntry(bits);
      copyMatch(out, distance, length);
      out += length;
    } while (p < last && out < pieceEnd);
    count &= 63;
    bits &= ((<u64>1) << count) - 1;
  }
  s.setInput(p, bits, count);
  s.setOutput(out);
  return result === status.going ? decodeCarefully() : result;
}

/** `decodeSymbols` symbol by symbol, each only if all of it is there. */
function decodeCarefully(): i32 {
  let p = s.inputNext;
  let bits = s.bits;
  let count = s.bitCount;
  let out = s.outputNext;
  let result: i32 = status.going;
  while (result === status.going) {
    if (out >= s.pieceEnd) {
      result = status.pieceFull;
      break;
    }
    while (count < 56 && p < s.inputEnd) {
      bits |= (<u64>load<u8>(p++)) << count;
      count += 8;
    }
    let entry = literalEntry(bits);
    let used: u32 = 0;
    if (entry & pointer && entry & exceptional && <i32>entry >= 0) {
      used = literalBits;
      entry = entryBehind(literalTable, entry, bits >> used);
    }
    const extended = bits >> used;
    used += entry & 0xff;
    if (used > count) {
      result = status.inputNeeded;
    } else if (<i32>entry < 0) {
      store<u8>(out++, entry >>> 16);
      bits >>= used;
      count -= used;
    } else if (entry & exceptional) {
      bits >>= used;
      count -= used;
      result = entry & endOfBlock ? status.blockEnd : status.badLength;
    } else {
      const length = amount(entry, extended);
      let rest = bits >> used;
      entry = load<u32>(distanceTable + ((<usize>(rest & distanceMask)) << 2));
      if (entry & pointer && entry & exceptional) {
        used += distanceBits;
        rest >>= distanceBits;
        entry = entryBehind(distanceTable, entry, rest);
      }
      used += entry & 0xff;
      if (used > count) {
        result = status.inputNeeded;
      } else if (entry & exceptional) {
        result = status.badDistance;
      } else {
        const distance = <usize>amount(entry, rest);
        if (distance > out - s.memberStart) {
          result = status.farDistance;
        } else {
          copyMatch(out, distance, length);
          out += length;
          bits >>= used;
          count -= used;
        }
      }
    }
  }
  s.setInput(p, bits, count);
  s.setOutput(out);
  return result;
}
