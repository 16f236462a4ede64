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
 * there, the same candidates in two vectors and a number: the best scores of the nine positions before stay in registers.
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
  const root = s.units;
  const rootBase = load<u32>(root);
  let state = root;
  let base = rootBase;
  let nextBase = rootBase;
  // Best scores 9 to 6, 5 to 2, and 1 positions ago.
  let far = f32x4.splat(-Infinity);
  let near = f32x4.splat(-Infinity);
  let last = f32x4.splat(startScore);
  let lowest = last;
  let highest = last;
  let position = s.positions;
  const end = position + s.positionBytes * <usize>length;
  store<f32>(position - s.positionBytes, startScore, 8);
  for (; position < end; position += s.positionBytes) {
    const code = load<u32>(position);
    const own = base + code;
    if (load<u32>(own, 4) === base) {
      state = own;
    } else {
      // Which of the others it is cannot be foretold, so that all are looked up at once.
      const ofRoot = rootBase + code;
      const otherBase = nextBase & s.baseMask;
      const next = otherBase + code;
      let unit = select<usize>(ofRoot, root, load<u32>(ofRoot, 4) === rootBase);
      const nextGoes = load<u32>(next, 4) === otherBase;
      if (!nextGoes && nextBase & s.chainMark) unit = followChain(state, code, unit);
      state = select<usize>(next, unit, nextGoes);
    }
    base = load<u32>(state);
    nextBase = load<u32>(state, 8);
    const block = <usize>load<u32>(state, 12);
    const nears = f32x4.add(near, v128.load(block, 16));
    const fars = f32x4.add(far, v128.load(block, 32));
    // Best and second best, lane by lane, of four and then of two lanes at a time.
    let top = f32x4.pmax(nears, fars);
    let second = f32x4.pmin(nears, fars);
    let other = v128.shuffle<f32>(top, top, 2, 3, 0, 1);
    second = f32x4.pmax(f32x4.pmin(top, other), f32x4.pmax(second, v128.shuffle<f32>(second, second, 2, 3, 0, 1)));
    top = f32x4.pmax(top, other);
    other = v128.shuffle<f32>(top, top, 1, 0, 3, 2);
    second = f32x4.pmax(f32x4.pmin(top, other), f32x4.pmax(second, v128.shuffle<f32>(second, second, 1, 0, 3, 2)));
    top = f32x4.pmax(top, other);
    // The score just before comes last: it is what the others need not wait for.
    const single = f32x4.add(last, v128.load32_splat(block, 12));
    second = f32x4.pmax(second, f32x4.pmin(top, single));
    top = f32x4.pmax(top, single);
    const wins = i32x4.bitmask(f32x4.eq(fars, top)) | (i32x4.bitmask(f32x4.eq(nears, top)) << 4) | 0x100;
    let taken = 9 - <u32>ctz(wins);
    if (nextBase & s.longMark) {
      const vectors = load<u32>(block, 48);
      for (let k: u32 = 0; k < vectors; k++) {
        for (let lane: u32 = 4; lane > 0; lane--) {
          const score = load<f32>(block + 16 * k + 4 * lane, 60);
          if (score === -Infinity) continue;
          const pieceLength = 4 * k + 14 - lane;
          const candidate = load<f32>(position - s.positionBytes * <usize>pieceLength, 8) + score;
          second = f32x4.pmax(second, f32x4.pmin(top, f32x4.splat(candidate)));
          if (candidate >= f32x4.extract_lane(top, 0)) {
            top = f32x4.splat(candidate);
            taken = pieceLength;
          }
        }
      }
    }
    store<f32>(position, f32x4.extract_lane(top, 0), 8);
    store<f32>(position, f32x4.extract_lane(f32x4.sub(top, second), 0), 12);
    store<u32>(position, <u32>block, 16);
    store<u32>(position, taken, 20);
    lowest = f32x4.pmin(lowest, top);
    highest = f32x4.pmax(highest, top);
    far = v128.shuffle<f32>(far, near, 1, 2, 3, 4);
    near = v128.shuffle<f32>(near, last, 1, 2, 3, 4);
    last = top;
  }
  endScore = f32x4.extract_lane(last, 0);
  magnitude = max(abs(f32x4.extract_lane(lowest, 0)), abs(f32x4.extract_lane(highest, 0)));
}

/** Where `state` goes by `code` if neither it nor the state it fails to has such a child: by that one's fails. */
function followChain(state: usize, code: u32, otherwise: usize): usize {
  let nextBase: u32;
  do {
    state = load<u32>(s.fails + ((state - s.units) >> 2));
    nextBase = load<u32>(state, 8);
    const base = nextBase & s.baseMask;
    const unit = base + code;
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

/** The record of the character that ends at position `i`. */
function recordAt(i: u32): usize {
  return s.positions + s.positionBytes * <usize>i - s.positionBytes;
}

/** Takes the score at position `i` off from it and from the later ones that a piece has reached. */
function rebase(i: u32, length: u32): void {
  const offset = load<f32>(recordAt(i), 8);
  const last = min<u32>(length, i + s.longestPiece);
  for (let j = i; j <= last; j++) store<f32>(recordAt(j), load<f32>(recordAt(j), 8) - offset, 8);
}

/** A candidate for position `j`, a piece of `length` code points that stands in `block`. */
function reach(j: u32, length: u32, block: usize, candidate: f64): void {
  const record = recordAt(j);
  const best = load<f32>(record, 8);
  const rounded = <f32>candidate;
  if (s.comparesDoubles ? candidate > <f64>best : rounded > best) {
    store<f32>(record, rounded, 8);
    store<u32>(record, <u32>block, 16);
    store<u32>(record, length, 20);
  }
}

/** `segment` step for step as SentencePiece goes: where scores are rebased, or candidates compared in double. */
function segmentForward(length: u32, startScore: f32): void {
  const rootBase = load<u32>(s.units);
  const doubles = s.comparesDoubles;
  for (let j: u32 = 1; j <= length; j++) store<f32>(recordAt(j), -Infinity, 8);
  store<f32>(recordAt(0), startScore, 8);
  for (let i: u32 = 0; i < length; i++) {
    if (!doubles && abs(load<f32>(recordAt(i), 8)) > <f32>rebaseScore) rebase(i, length);
    const score = load<f32>(recordAt(i), 8);
    let base = rootBase;
    let covered = false;
    for (let j = i; j < length; j++) {
      const unit = base + load<u32>(recordAt(j + 1));
      if (load<u32>(unit, 4) !== base) break;
      const block = <usize>load<u32>(unit, 12);
      const pieceLength = j + 1 - i;
      if (load<u32>(block, 4) === pieceLength && block !== s.blocks) {
        if (pieceLength === 1) covered = true;
        const candidate = <f64>score + load<f64>(s.scores + 8 * load<u32>(block));
        reach(j + 1, pieceLength, block, candidate);
      }
      base = load<u32>(unit);
      if (load<u32>(unit, 8) & s.leafMark) break;
    }
    if (!covered) reach(i + 1, 1, s.blocks, <f64>(score + s.unkScore));
  }
  endScore = load<f32>(recordAt(length), 8);
}
