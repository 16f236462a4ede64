/**
 * Inflates gzip streams (RFC 1951 and 1952) of any number of members, chunk by chunk, and refuses what zlib refuses. Compiled to
 * WebAssembly; `src/corpus/read/inflater.ts` is its host. Of libdeflate it has the layout of the tables and the way to read bits.
 */
import { inflateBlocks, startBlocks } from "./blocks";
import { crc32 } from "./crc32";
import * as s from "./state";
import * as status from "./status";

export { addInput, chunkAt } from "./state";

/** Where in a member the stream stands: the parts of its head in their order, its blocks, what comes after. */
const atMagic = 0;
const atMethod = 1;
const atTime = 2;
const atExtraLength = 3;
const inExtra = 4;
const inName = 5;
const inComment = 6;
const atHeaderChecksum = 7;
const inBlocks = 8;
const atChecksum = 9;
const atSize = 10;
const afterMember = 11;

/** Bits of the head's flags. */
const flagHeaderChecksum: u32 = 2;
const flagExtra: u32 = 4;
const flagName: u32 = 8;
const flagComment: u32 = 16;
const unknownFlags: u32 = 0xe0;

let place: i32 = atMagic;
let flags: u32 = 0;
let extraLeft: usize = 0;
let headerChecksum: u32 = 0;
/** Of what was inflated of the member. */
let checksum: u32 = 0;
let size: u32 = 0;

/** Begins a new stream. */
export function start(): void {
  s.resetState();
  place = atMagic;
}

export function pieceAt(): usize {
  return s.pieceStart;
}

export function pieceLength(): usize {
  return s.outputNext - s.pieceStart;
}

/** Whether the stream may end here. */
export function mayEnd(): bool {
  return place === afterMember;
}

/** Inflates up to the end of a piece or of the input, or to a fault: whatever it answers, there may be a piece. */
export function inflate(): i32 {
  s.startPiece();
  let result: i32 = status.going;
  while (result === status.going) {
    result = place === inBlocks ? inflateMember() : place > inBlocks ? readTrailer() : readHeader();
  }
  return result;
}

function inflateMember(): i32 {
  const from = s.outputNext;
  const result = inflateBlocks();
  checksum = crc32(checksum, from, s.outputNext);
  size += <u32>(s.outputNext - from);
  if (result !== status.blockEnd) {
    if (result === status.inputNeeded) s.unreadBytes();
    return result;
  }
  s.skipToByte();
  place = atChecksum;
  return status.going;
}

function readTrailer(): i32 {
  if (place === afterMember) {
    // Zeros are padding, at the end of the file as well as between two members.
    let p = s.inputNext;
    while (p < s.inputEnd && load<u8>(p) === 0) p++;
    s.setInput(p, 0, 0);
    if (p === s.inputEnd) return status.inputNeeded;
    place = atMagic;
    return status.going;
  }
  const left = s.inputEnd - s.inputNext;
  if (left < 4) return status.inputNeeded;
  const read = load<u32>(s.inputNext);
  s.setInput(s.inputNext + 4, 0, 0);
  if (place === atChecksum) {
    if (read !== checksum) return status.badChecksum;
    place = atSize;
  } else {
    if (read !== size) return status.badSize;
    place = afterMember;
  }
  return status.going;
}

/** Reads one part of the header, whole or not at all; of the parts of any length what there is. */
function readHeader(): i32 {
  const p = s.inputNext;
  const left = s.inputEnd - p;
  switch (place) {
    case atMagic:
      if (left < 2) return status.inputNeeded;
      if (load<u16>(p) !== 0x8b1f) return status.badHeader;
      headerChecksum = 0;
      return endPart(2, atMethod);
    case atMethod:
      if (left < 2) return status.inputNeeded;
      if (load<u8>(p) !== 8) return status.badMethod;
      flags = load<u8>(p, 1);
      return flags & unknownFlags ? status.badFlags : endPart(2, atTime);
    case atTime:
      return left < 6 ? status.inputNeeded : endPart(6, flags & flagExtra ? atExtraLength : inName);
    case atExtraLength:
      if (left < 2) return status.inputNeeded;
      extraLeft = load<u16>(p);
      return endPart(2, inExtra);
    case inExtra: {
      const length = min(left, extraLeft);
      extraLeft -= length;
      endPart(length, extraLeft === 0 ? inName : inExtra);
      return extraLeft === 0 ? status.going : status.inputNeeded;
    }
    case inName:
      return flags & flagName ? readText(inName, inComment) : endPart(0, inComment);
    case inComment:
      return flags & flagComment ? readText(inComment, atHeaderChecksum) : endPart(0, atHeaderChecksum);
    default:
      if (flags & flagHeaderChecksum) {
        if (left < 2) return status.inputNeeded;
        if (load<u16>(p) !== <u16>headerChecksum) return status.badHeaderChecksum;
        s.setInput(p + 2, 0, 0);
      }
      startBlocks();
      s.startMember();
      checksum = 0;
      size = 0;
      place = inBlocks;
      return status.going;
  }
}

/** Takes so many bytes of the header and goes on to another part of it. */
function endPart(length: usize, next: i32): i32 {
  headerChecksum = crc32(headerChecksum, s.inputNext, s.inputNext + length);
  s.setInput(s.inputNext + length, 0, 0);
  place = next;
  return status.going;
}

/** Passes over a text that ends with a NUL. */
function readText(part: i32, next: i32): i32 {
  let p = s.inputNext;
  while (p < s.inputEnd) if (load<u8>(p++) === 0) return endPart(p - s.inputNext, next);
  endPart(p - s.inputNext, part);
  return status.inputNeeded;
}
