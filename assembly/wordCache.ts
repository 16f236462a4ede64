import { newPages } from "./state";

/**
 * Remembers the ids of raw words, in two tiers: words of 1 to 15 bytes in entries of one cache line, words of 16 to 48 bytes in
 * entries of two. Each word has one place; a newer word takes it over. What is found never depends on what was kept, only the
 * time does.
 *
 * Short entry, 64 bytes:  { key 16, limit f32, cost f32, ids 10 x u32 }
 * Long entry,  128 bytes: { key 48, limit f32, cost f32, length + 256 * count u32, ids 17 x u32 }
 *
 * The key of a short word is its bytes, zeros, and its length as the 16th byte. `limit`: the ids hold while the score before the
 * word is nearer to 0 than this. A short entry keeps the number of ids in the low four bits of its limit. `cost`: by how much the word can raise the score's magnitude.
 */
const shortBits: u32 = 18;
const longBits: u32 = 16;
/** The tables begin by so many bits smaller, and are as large as that once as many words were new as they then have places. */
const smallerBits: u32 = 6;
/** Odd multipliers that spread bits upwards. */
const mixA: u64 = ((<u64>0x9e3779b9) << 32) | 0x7f4a7c15;
const mixB: u64 = ((<u64>0xd6e8feb8) << 32) | 0x6659fd93;
export const maxShortIds: u32 = 10;
export const maxLongIds: u32 = 17;
export const maxCachedBytes: u32 = 48;

export let shortEntries: usize = 0;
export let longEntries: usize = 0;
let shortShift: u64 = 0;
let longShift: u64 = 0;
let newWords: u32 = 0;

/** At `16 * length`: ones in the first `length` bytes. */
const masks: usize = memory.data(17 * 16, 16);
/** At `16 * length`: `length` as the 16th byte. */
const lengths: usize = memory.data(17 * 16, 16);

/**
 * Zeros that were written. A page that is read before it is written is first one that all share and then, at the first write, one of its own,
 * for which the kernel interrupts every core that runs a thread of this process.
 */
function newWritten(bytes: usize): usize {
  const pages = newPages(bytes);
  memory.fill(pages, 0, bytes);
  return pages;
}

/** Called when no place is in use, before each document. */
export function readyCache(): void {
  if (shortEntries === 0) {
    allocate(shortBits - smallerBits, longBits - smallerBits);
    fillMasks();
  } else if (newWords > 1 << (shortBits - smallerBits) && shortShift !== 64 - shortBits) {
    allocate(shortBits, longBits);
  }
}

function allocate(short: u32, long: u32): void {
  shortEntries = newWritten(64 << short);
  longEntries = newWritten(128 << long);
  shortShift = 64 - short;
  longShift = 64 - long;
}

/** Counts a word that gets an entry. */
export function countNew(): void {
  newWords++;
}

function fillMasks(): void {
  for (let length: usize = 0; length <= 16; length++) {
    memory.fill(masks + 16 * length, 0xff, length);
    store<u8>(lengths + 16 * length + 15, <u8>length);
  }
}

export function shortKey(bytes: v128, length: u32): v128 {
  return v128.or(v128.and(bytes, v128.load(masks + 16 * length)), v128.load(lengths + 16 * length));
}

/** The first `length` bytes of 16, zeros after them; all 16 where there are more. */
export function masked(bytes: v128, length: i32): v128 {
  return v128.and(bytes, v128.load(masks + 16 * max<i32>(0, min<i32>(16, length))));
}

export function shortEntry(key: v128): usize {
  const low = i64x2.extract_lane(key, 0);
  const high = i64x2.extract_lane(key, 1);
  let hash = low ^ (high * mixA);
  hash ^= hash >>> 32;
  hash *= mixB;
  return shortEntries + ((<usize>(hash >>> shortShift)) << 6);
}

export function longEntry(a: v128, b: v128, c: v128, length: u32): usize {
  let hash = (i64x2.extract_lane(a, 0) ^ <u64>length) * mixA;
  hash = (hash ^ (hash >>> 29) ^ i64x2.extract_lane(a, 1)) * mixB;
  hash = (hash ^ (hash >>> 29) ^ i64x2.extract_lane(b, 0)) * mixA;
  hash = (hash ^ (hash >>> 29) ^ i64x2.extract_lane(b, 1)) * mixB;
  hash = (hash ^ (hash >>> 29) ^ i64x2.extract_lane(c, 0)) * mixA;
  hash = (hash ^ (hash >>> 29) ^ i64x2.extract_lane(c, 1)) * mixB;
  hash ^= hash >>> 32;
  hash *= mixA;
  return longEntries + ((<usize>(hash >>> longShift)) << 7);
}

/** Whether the entry holds the word of `length` bytes, 16 to 48, at `p`. */
export function isLong(entry: usize, p: usize, length: u32): bool {
  if ((load<u32>(entry, 56) & 0xff) !== length) return false;
  const second = masked(v128.load(p, 16), length - 16);
  const third = masked(v128.load(p, 32), length - 32);
  return i8x16.all_true(
    v128.and(
      i8x16.eq(v128.load(p), v128.load(entry)),
      v128.and(i8x16.eq(second, v128.load(entry, 16)), i8x16.eq(third, v128.load(entry, 32))),
    ),
  );
}
