import * as s from "./state";

/** SentencePiece 0.2.2 starts again from 0 beyond this score. */
const rebaseScore: f64 = 100_000;
/** The id of a character that no piece covers, while it is on a path. */
export const unknown: u32 = 0xffffffff;

/** Normalized words up to this length can be cached. */
export const maxWordLength: u32 = 512;
/** For `segmentExactly`: best and second-best score by position, in double. */
const exact: usize = memory.data(8208, 16);

/** Score at the end of the last segmentation. */
export let endScore: f64 = 0;
/** Only after `segmentExactly`: any start score nearer to 0 than this leads `segment` to the same path. */
export let scoreLimit: f64 = 0;

/** Takes the score at position `i` off from it and from the later ones that a piece has reached. */
function rebase(i: u32, length: u32): void {
  const first = s.positions + 16 * i;
  const offset = load<f32>(first);
  const last = s.positions + 16 * min<u32>(length, i + s.longestPiece);
  for (let p = first; p <= last; p += 16) store<f32>(p, load<f32>(p) - offset);
}

/**
 * Segments the normalized text as SentencePiece does (`Model::EncodeOptimized`) in a document whose text before it has the score
 * `startScore`. The best score up to each position is a float32, and so is each candidate; of equals the first one wins, which
 * starts earlier. Where no piece ends the score is -Infinity and wins nothing, so that an update needs no branch.
 */
export function segment(length: u32, startScore: f32): void {
  if (s.comparesDoubles) {
    segmentInDoubles(length, startScore);
    return;
  }
  const units = s.units;
  const first = s.positions;
  const unk = s.unkScore;
  const root = units + load<i32>(units);
  store<f32>(first, startScore);
  for (let i: u32 = 0; i < length; i++) {
    const here = first + 16 * i;
    if (abs(load<f32>(here)) > <f32>rebaseScore) rebase(i, length);
    const score = load<f32>(here);
    let unit = root + load<u32>(here, 4);
    let covered = false;
    if (load<i32>(unit, 4) === 0) {
      const start = (<u64>i) << 32;
      covered = load<i32>(unit, 12) >= 0;
      let at = here;
      for (;;) {
        at += 16;
        const candidate = score + load<f32>(unit, 8);
        const best = load<f32>(at);
        const wins = candidate > best;
        store<f32>(at, select(candidate, best, wins));
        store<u64>(at, select(start | <u64>load<u32>(unit, 12), load<u64>(at, 8), wins), 8);
        const next = units + load<i32>(unit) + load<u32>(at, 4);
        if (load<i32>(next, 4) !== <i32>(unit - units)) break;
        unit = next;
      }
    }
    if (!covered) {
      const candidate = score + unk;
      if (candidate > load<f32>(here, 16)) {
        store<f32>(here, candidate, 16);
        store<u64>(here, ((<u64>i) << 32) | <u64>unknown, 24);
      }
    }
  }
  endScore = load<f32>(first + 16 * length);
}

/** The score of a state's piece: of user-defined ones a double. */
function scoreAt(unit: usize): f64 {
  const score = <f64>load<f32>(unit, 8);
  if (!s.userDefined || score === -Infinity) return score;
  return load<f64>(s.scores + 8 * load<u32>(unit, 12));
}

/** `segment` where scores are doubles (user-defined pieces), or candidates are compared as such. */
function segmentInDoubles(length: u32, startScore: f32): void {
  const units = s.units;
  const first = s.positions;
  const root = units + load<i32>(units);
  const doubles = s.comparesDoubles;
  store<f32>(first, startScore);
  for (let i: u32 = 0; i < length; i++) {
    const here = first + 16 * i;
    if (!doubles && abs(load<f32>(here)) > <f32>rebaseScore) rebase(i, length);
    const score = load<f32>(here);
    let unit = root + load<u32>(here, 4);
    let covered = false;
    if (load<i32>(unit, 4) === 0) {
      covered = load<i32>(unit, 12) >= 0;
      let at = here;
      for (;;) {
        at += 16;
        const candidate = <f64>score + scoreAt(unit);
        const rounded = <f32>candidate;
        const best = load<f32>(at);
        if (doubles ? candidate > <f64>best : rounded > best) {
          store<f32>(at, rounded);
          store<u64>(at, ((<u64>i) << 32) | <u64>load<u32>(unit, 12), 8);
        }
        const next = units + load<i32>(unit) + load<u32>(at, 4);
        if (load<i32>(next, 4) !== <i32>(unit - units)) break;
        unit = next;
      }
    }
    if (!covered) {
      const candidate = score + s.unkScore;
      if (candidate > load<f32>(here, 16)) {
        store<f32>(here, candidate, 16);
        store<u64>(here, ((<u64>i) << 32) | <u64>unknown, 24);
      }
    }
  }
  endScore = load<f32>(first + 16 * length);
}

/**
 * Segments a normalized text of at most `maxWordLength` without rounding, from the score 0, and computes up to which start score
 * rounding cannot lead SentencePiece to another path (`scoreLimit`).
 *
 * A position is reached in at most `length` additions, each wrong by at most half a unit of float32, 2^-24 of the largest
 * magnitude that occurs. So two candidates for a position are off by at most `length * magnitude * 2^-23` together, and keep their
 * order while their difference is larger. A tie has no such score. Nor may the score be rebased within the text.
 */
export function segmentExactly(length: u32): void {
  const units = s.units;
  const first = s.positions;
  const root = units + load<i32>(units);
  const unk = <f64>s.unkScore;
  store<f64>(exact, 0);
  for (let i: u32 = 1; i <= length; i++) {
    store<f64>(exact + 16 * i, -Infinity);
    store<f64>(exact + 16 * i, -Infinity, 8);
  }
  let magnitude: f64 = 0;
  for (let i: u32 = 0; i < length; i++) {
    const here = first + 16 * i;
    const start = (<u64>i) << 32;
    const score = load<f64>(exact + 16 * i);
    magnitude = max(magnitude, abs(score));
    let unit = root + load<u32>(here, 4);
    let covered = false;
    if (load<i32>(unit, 4) === 0) {
      covered = load<i32>(unit, 12) >= 0;
      let at = here;
      let cell = exact + 16 * i;
      for (;;) {
        at += 16;
        cell += 16;
        const candidate = score + scoreAt(unit);
        const best = load<f64>(cell);
        const wins = candidate > best;
        const loser = select(best, candidate, wins);
        const second = load<f64>(cell, 8);
        store<f64>(cell, select(candidate, best, wins));
        store<f64>(cell, select(loser, second, loser > second), 8);
        store<u64>(at, select(start | <u64>load<u32>(unit, 12), load<u64>(at, 8), wins), 8);
        const next = units + load<i32>(unit) + load<u32>(at, 4);
        if (load<i32>(next, 4) !== <i32>(unit - units)) break;
        unit = next;
      }
    }
    if (!covered) {
      const candidate = score + unk;
      const cell = exact + 16 * (i + 1);
      const best = load<f64>(cell);
      if (candidate > best) {
        store<f64>(cell, best, 8);
        store<f64>(cell, candidate);
        store<u64>(here, start | <u64>unknown, 24);
      } else if (candidate > load<f64>(cell, 8)) {
        store<f64>(cell, candidate, 8);
      }
    }
  }
  endScore = load<f64>(exact + 16 * length);
  magnitude = max(magnitude, abs(endScore)) + s.largestScore;
  let gap: f64 = Infinity;
  for (let i = length; i > 0; i = load<u32>(first + 16 * i, 12)) {
    gap = min(gap, load<f64>(exact + 16 * i) - load<f64>(exact + 16 * i, 8));
  }
  // One addition to spare, and a tenth, for the rounding of this very bound.
  scoreLimit = min((0.9 * gap * 8388608.0) / <f64>(length + 1) - magnitude, rebaseScore - magnitude);
}
