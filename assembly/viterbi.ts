import * as s from "./state";

/** SentencePiece 0.2.2 starts again from 0 beyond this score. */
const rebaseScore: f64 = 100_000;
/** The id of a character that no piece covers, while it is on a path. */
export const unknown: u32 = 0xffffffff;

/** Score at the end of the last segmentation. */
export let endScore: f64 = 0;
/** The largest magnitude of a score at any position of it. */
export let magnitude: f64 = 0;

/**
 * Segments the normalized text in a document whose text before it has the score `startScore`, as SentencePiece does (`EncodeOptimized` of
 * its unigram model). The best score up to each position is a float32, and so is each candidate; of equals the first one wins,
 * which starts earlier, so the longer piece.
 *
 * SentencePiece goes on from each position by all pieces that start there. Here each position takes the best of all pieces that end
 * there, the same candidates in one or two vectors: the best scores of the eight positions before stay in registers.
 */
export function segment(length: u32, startScore: f32): void {
  if (s.comparesDoubles) {
    segmentForward(length, startScore);
    return;
  }
  pull(length, startScore);
  if (magnitude > rebaseScore) segmentForward(length, startScore);
}

/** `segment` in float32, without rebasing. Leaves at each position by how much the second best candidate is worse. */
export function pull(length: u32, startScore: f32): void {
  const units = s.units;
  const blocks = s.blocks;
  const rootBase = load<u32>(units);
  let state = units;
  let base = rootBase;
  let nextBase = rootBase;
  let near = f32x4.replace_lane(f32x4.splat(-Infinity), 3, startScore);
  let far = f32x4.splat(-Infinity);
  let largest = f32x4.abs(f32x4.splat(startScore));
  let best = s.best;
  let gap = s.gaps;
  let from = s.from;
  let codes = s.codes;
  const end = codes + 4 * length;
  store<f32>(best, startScore);
  while (codes < end) {
    const code = load<u32>(codes);
    codes += 4;
    const own = units + base + code;
    if (load<u32>(own, 4) === base) {
      state = own;
    } else {
      // Which of the others it is cannot be foretold, so that all are looked up at once.
      const root = units + rootBase + code;
      const otherBase = nextBase & s.baseMask;
      const next = units + otherBase + code;
      let unit = select(root, units, load<u32>(root, 4) === rootBase);
      const nextGoes = load<u32>(next, 4) === otherBase;
      if (!nextGoes && nextBase & s.chainMark) unit = followChain(state, code, unit);
      state = select(next, unit, nextGoes);
    }
    base = load<u32>(state);
    nextBase = load<u32>(state, 8);
    const scores = blocks + load<u32>(state, 12);
    const short = f32x4.add(near, v128.load(scores, 16));
    const long = f32x4.add(far, v128.load(scores, 32));
    // Best and second best, lane by lane, of four and then of two lanes at a time.
    let top = f32x4.pmax(short, long);
    let second = f32x4.pmin(short, long);
    let other = v128.shuffle<f32>(top, top, 2, 3, 0, 1);
    second = f32x4.pmax(f32x4.pmin(top, other), f32x4.pmax(second, v128.shuffle<f32>(second, second, 2, 3, 0, 1)));
    top = f32x4.pmax(top, other);
    other = v128.shuffle<f32>(top, top, 1, 0, 3, 2);
    second = f32x4.pmax(f32x4.pmin(top, other), f32x4.pmax(second, v128.shuffle<f32>(second, second, 1, 0, 3, 2)));
    top = f32x4.pmax(top, other);
    const wins = i32x4.bitmask(f32x4.eq(long, top)) | (i32x4.bitmask(f32x4.eq(short, top)) << 4);
    let taken = 8 - <u32>ctz(wins);
    best += 4;
    gap += 4;
    from += 8;
    const vectors = load<u32>(scores, 12);
    for (let k: u32 = 2; k < vectors; k++) {
      for (let lane: u32 = 4; lane > 0; lane--) {
        const pieceLength = 4 * k + 5 - lane;
        const candidate = load<f32>(best - 4 * pieceLength) + load<f32>(scores + 16 * k + 4 * lane, 12);
        second = f32x4.pmax(second, f32x4.pmin(top, f32x4.splat(candidate)));
        if (candidate >= f32x4.extract_lane(top, 0)) {
          top = f32x4.splat(candidate);
          taken = pieceLength;
        }
      }
    }
    store<f32>(best, f32x4.extract_lane(top, 0));
    store<f32>(gap, f32x4.extract_lane(f32x4.sub(top, second), 0));
    store<u64>(from, ((<u64>taken) << 32) | (scores - blocks));
    largest = f32x4.pmax(largest, f32x4.abs(top));
    far = v128.shuffle<f32>(far, near, 1, 2, 3, 4);
    near = v128.shuffle<f32>(near, top, 1, 2, 3, 4);
  }
  endScore = load<f32>(best);
  magnitude = f32x4.extract_lane(largest, 0);
}

/** Where `state` goes by `code` if neither it nor the state it fails to has such a child: by that one's fails. */
function followChain(state: usize, code: u32, otherwise: usize): usize {
  let nextBase: u32;
  do {
    state = s.units + load<u32>(s.fails + ((state - s.units) >> 2));
    nextBase = load<u32>(state, 8);
    const base = nextBase & s.baseMask;
    const unit = s.units + base + code;
    if (load<u32>(unit, 4) === base) return unit;
  } while (nextBase & s.chainMark);
  return otherwise;
}

/**
 * Only after `pull` from the score 0: any start score nearer to 0 than this leads `segment` to the same path.
 *
 * A score of a position is off by at most half a unit of float32, 2^-24 of the largest magnitude that occurs, for each of at most
 * `length` additions. So two candidates for a position are off by at most `length * 2^-23 * magnitude` together, both here and from the
 * start score, where magnitudes are larger by that, and keep their order while their difference exceeds both. A tie has no such score.
 * Nor may the score be rebased within the text.
 */
export function scoreLimit(length: u32, gap: f32): f64 {
  const room = magnitude + s.largestScore;
  // One addition to spare, and a tenth, for the rounding of this very bound.
  return min((0.9 * <f64>gap * 8388608.0) / <f64>(length + 1) - 2 * room, rebaseScore - room);
}

/** Takes the score at position `i` off from it and from the later ones that a piece has reached. */
function rebase(i: u32, length: u32): void {
  const offset = load<f32>(s.best + 4 * i);
  const last = min<u32>(length, i + s.longestPiece);
  for (let j = i; j <= last; j++) store<f32>(s.best + 4 * j, load<f32>(s.best + 4 * j) - offset);
}

/** A candidate for position `j`, a piece of `length` code points that stands in `block`. */
function reach(j: u32, length: u32, block: u32, candidate: f64): void {
  const best = load<f32>(s.best + 4 * j);
  const rounded = <f32>candidate;
  if (s.comparesDoubles ? candidate > <f64>best : rounded > best) {
    store<f32>(s.best + 4 * j, rounded);
    store<u64>(s.from + 8 * j, ((<u64>length) << 32) | block);
  }
}

/** `segment` step for step as SentencePiece goes: where scores are rebased, or candidates compared in double. */
function segmentForward(length: u32, startScore: f32): void {
  const units = s.units;
  const rootBase = load<u32>(units);
  const doubles = s.comparesDoubles;
  for (let j: u32 = 1; j <= length; j++) store<f32>(s.best + 4 * j, -Infinity);
  store<f32>(s.best, startScore);
  for (let i: u32 = 0; i < length; i++) {
    if (!doubles && abs(load<f32>(s.best + 4 * i)) > <f32>rebaseScore) rebase(i, length);
    const score = load<f32>(s.best + 4 * i);
    let base = rootBase;
    let covered = false;
    for (let j = i; j < length; j++) {
      const unit = units + base + load<u32>(s.codes + 4 * j);
      if (load<u32>(unit, 4) !== base) break;
      const block = load<u32>(unit, 12);
      const pieceLength = j + 1 - i;
      if (load<u32>(s.blocks + block, 4) === pieceLength && block !== 0) {
        if (pieceLength === 1) covered = true;
        const candidate = <f64>score + load<f64>(s.scores + 8 * load<u32>(s.blocks + block));
        reach(j + 1, pieceLength, block, candidate);
      }
      base = load<u32>(unit);
      if (load<u32>(unit, 8) & s.leafMark) break;
    }
    if (!covered) reach(i + 1, 1, 0, <f64>(score + s.unkScore));
  }
  endScore = load<f32>(s.best + 4 * length);
}
