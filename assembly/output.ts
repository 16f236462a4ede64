import * as s from "./state";
import { unknown } from "./viterbi";

/** Copies `count` ids in whole vectors, from a place that is the same or later where the two overlap. */
function copyIds(to: usize, source: usize, count: u32): void {
  const end = to + 4 * count;
  while (to < end) {
    v128.store(to, v128.load(source));
    to += 16;
    source += 16;
  }
}

/**
 * Follows the best path back from its end and writes its ids in order, an unknown character as bytes where the model does so. Returns
 * the smallest of its gaps.
 */
export function writePath(length: u32): f32 {
  let gap: f32 = Infinity;
  const most = s.byteFallback ? 4 * length : length;
  s.reserveOutput(most);
  const end = s.outputEnd + 4 * most;
  let p = end;
  const first = s.positions;
  let last = first + s.positionBytes * length;
  while (last > first) {
    const position = last - s.positionBytes;
    const taken = load<u32>(position, 20);
    let block = <usize>load<u32>(position, 16);
    while (load<u32>(block, 4) !== taken) block = s.blocks + load<u32>(block, 8);
    const id = load<u32>(block);
    gap = min(gap, load<f32>(position, 12));
    last -= s.positionBytes * <usize>taken;
    if (id !== unknown) {
      p -= 4;
      store<u32>(p, id);
    } else {
      p = writeUnknown(p, load<u32>(position, 4));
    }
  }
  const count = <u32>((end - p) >> 2);
  copyIds(s.outputEnd, p, count);
  s.setOutputEnd(s.outputEnd + 4 * count);
  return gap;
}

/** Writes the ids of an unknown character before `p`, last byte first. Returns where they start. */
function writeUnknown(p: usize, codePoint: u32): usize {
  if (!s.byteFallback) {
    store<u32>(p - 4, s.unkId);
    return p - 4;
  }
  let left = codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
  const lead: u32 = left === 1 ? 0 : left === 2 ? 0xc0 : left === 3 ? 0xe0 : 0xf0;
  let rest = codePoint;
  for (; left > 1; left--) {
    p -= 4;
    store<u32>(p, load<u32>(s.byteIds + 4 * (0x80 | (rest & 0x3f))));
    rest >>= 6;
  }
  p -= 4;
  store<u32>(p, load<u32>(s.byteIds + 4 * (lead | rest)));
  return p;
}

/** SentencePiece writes a run of unknown characters as one unknown piece. */
export function mergeUnknown(): void {
  const unk = s.unkId;
  let to = s.output;
  for (let p = s.output; p < s.outputEnd; p += 4) {
    const id = load<u32>(p);
    if (id === unk && to > s.output && load<u32>(to - 4) === unk) continue;
    store<u32>(to, id);
    to += 4;
  }
  s.setOutputEnd(to);
}
