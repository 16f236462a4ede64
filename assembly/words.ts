import * as s from "./state";
import * as cache from "./wordCache";

/**
 * Words found but not yet looked up, 32 bytes each: `{ key 16 (of a short one), start u32, bytes u32, entry u32 }`. Their
 * entries are brought into the processor's cache together, one wait for many.
 */
export const waiting: usize = memory.data(64 * 32, 16);
const waitingEnd: usize = waiting + 64 * 32;
/** Written so that reading an entry ahead of its use is not thought useless. */
export let touched: u32 = 0;

/** The last of the words that wait. */
export let lastWaiting: usize = 0;

/** Fills `waiting` from `p` on. Returns where it came to. */
export function findWords(p: usize, end: usize): usize {
  const cuts = s.separators;
  const cut0 = i8x16.splat(<i8>cuts);
  const cut1 = i8x16.splat(<i8>(cuts >> 8));
  const cut2 = i8x16.splat(<i8>(cuts >> 16));
  const cut3 = i8x16.splat(<i8>(cuts >> 24));
  let word = waiting;
  while (p < end && word < waitingEnd) {
    const bytes = v128.load(p);
    const isCut = v128.or(
      v128.or(i8x16.eq(bytes, cut0), i8x16.eq(bytes, cut1)),
      v128.or(i8x16.eq(bytes, cut2), i8x16.eq(bytes, cut3)),
    );
    const size = <u32>ctz(i8x16.bitmask(isCut) | 0x10000);
    if (size === 0) {
      p++;
      continue;
    }
    store<u32>(word, <u32>p, 16);
    if (size < 16) {
      const key = cache.shortKey(bytes, size);
      const entry = cache.shortEntry(key);
      v128.store(word, key);
      store<u32>(word, size, 20);
      store<u32>(word, <u32>entry, 24);
      p += size + 1;
    } else {
      let stop = p + 16;
      for (;;) {
        const more = v128.load(stop);
        const cutsHere = i8x16.bitmask(
          v128.or(
            v128.or(i8x16.eq(more, cut0), i8x16.eq(more, cut1)),
            v128.or(i8x16.eq(more, cut2), i8x16.eq(more, cut3)),
          ),
        );
        if (cutsHere !== 0) {
          stop += ctz(cutsHere);
          break;
        }
        stop += 16;
      }
      const long = <u32>(stop - p);
      store<u32>(word, long, 20);
      if (long <= cache.maxCachedBytes) {
        const second = cache.masked(v128.load(p, 16), long - 16);
        const third = cache.masked(v128.load(p, 32), long - 32);
        const entry = cache.longEntry(bytes, second, third, long);
        store<u32>(word, <u32>entry, 24);
      } else {
        store<u32>(word, <u32>cache.shortEntries, 24);
      }
      p = stop + 1;
    }
    word += 32;
  }
  lastWaiting = word;
  touchEntries(word);
  return p;
}

/** Reads both lines of each entry. So few instructions a word that the processor waits for many words at a time. */
function touchEntries(end: usize): void {
  let touches: u32 = 0;
  for (let word = waiting; word < end; word += 32) {
    const entry = <usize>load<u32>(word, 24);
    const isLong = <usize>(load<u32>(word, 20) > 15);
    touches ^= load<u32>(entry) ^ load<u32>(entry + (isLong << 6));
  }
  touched = touches;
}
