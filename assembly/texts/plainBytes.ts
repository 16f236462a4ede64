/** From the byte `n` on there are `16 - n` ones and then zeros: for vectors of which only so many bytes count. */
const ones: usize = memory.data(32, 16);
memory.fill(ones, 0xff, 16);

/** What two bytes in a row can do wrong, by bit; a pair is at fault where all three tables of its half bytes say so. */
const tooShort: u8 = 1 << 0;
const tooLong: u8 = 1 << 1;
const overlong3: u8 = 1 << 2;
const tooLarge: u8 = 1 << 3;
const surrogate: u8 = 1 << 4;
const overlong2: u8 = 1 << 5;
/** From F5 on, and F0 8X, which no pair can be at once. */
const tooLarge1000: u8 = 1 << 6;
const overlong4: u8 = 1 << 6;
const twoContinuations: u8 = 1 << 7;
const carry: u8 = tooShort | tooLong | twoContinuations;

/** By the upper half of the first byte, its lower half, the upper half of the second byte. */
const firstHigh: usize = memory.data<u8>(
  [
    tooLong,
    tooLong,
    tooLong,
    tooLong,
    tooLong,
    tooLong,
    tooLong,
    tooLong,
    twoContinuations,
    twoContinuations,
    twoContinuations,
    twoContinuations,
    tooShort | overlong2,
    tooShort,
    tooShort | overlong3 | surrogate,
    tooShort | tooLarge | tooLarge1000 | overlong4,
  ],
  16,
);
const firstLow: usize = memory.data<u8>(
  [
    carry | overlong3 | overlong2 | overlong4,
    carry | overlong2,
    carry,
    carry,
    carry | tooLarge,
    carry | tooLarge | tooLarge1000,
    carry | tooLarge | tooLarge1000,
    carry | tooLarge | tooLarge1000,
    carry | tooLarge | tooLarge1000,
    carry | tooLarge | tooLarge1000,
    carry | tooLarge | tooLarge1000,
    carry | tooLarge | tooLarge1000,
    carry | tooLarge | tooLarge1000,
    carry | tooLarge | tooLarge1000 | surrogate,
    carry | tooLarge | tooLarge1000,
    carry | tooLarge | tooLarge1000,
  ],
  16,
);
const secondHigh: usize = memory.data<u8>(
  [
    tooShort,
    tooShort,
    tooShort,
    tooShort,
    tooShort,
    tooShort,
    tooShort,
    tooShort,
    tooLong | overlong2 | twoContinuations | overlong3 | tooLarge1000 | overlong4,
    tooLong | overlong2 | twoContinuations | overlong3 | tooLarge,
    tooLong | overlong2 | twoContinuations | surrogate | tooLarge,
    tooLong | overlong2 | twoContinuations | surrogate | tooLarge,
    tooShort,
    tooShort,
    tooShort,
    tooShort,
  ],
  16,
);

/** Of 16 bytes and the 16 before them: not zero where a byte does not follow on the one to three before it. */
function misplaced(bytes: v128, before: v128): v128 {
  const low = i8x16.splat(15);
  const one = v128.shuffle<u8>(before, bytes, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30);
  const two = v128.shuffle<u8>(before, bytes, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29);
  const three = v128.shuffle<u8>(before, bytes, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28);
  const pairs = v128.and(
    v128.and(
      i8x16.swizzle(v128.load(firstHigh), i8x16.shr_u(one, 4)),
      i8x16.swizzle(v128.load(firstLow), v128.and(one, low)),
    ),
    i8x16.swizzle(v128.load(secondHigh), i8x16.shr_u(bytes, 4)),
  );
  // Third and fourth bytes must be continuations after a continuation, which is no other fault of the pair.
  const thirds = i8x16.sub_sat_u(two, i8x16.splat(<i8>(0xe0 - 0x80)));
  const fourths = i8x16.sub_sat_u(three, i8x16.splat(<i8>(0xf0 - 0x80)));
  return v128.xor(v128.and(v128.or(thirds, fourths), i8x16.splat(<i8>0x80)), pairs);
}

/**
 * Whether the bytes from `p` to `end` are UTF-8 without control characters. By table lookups, 16 bytes at a time (Keiser and Lemire, "Validating
 * UTF-8 in less than one instruction per byte"). Some bytes beyond `end` are read.
 */
export function isPlain(p: usize, end: usize): bool {
  const spaces = i8x16.splat(0x20);
  let faults = i8x16.splat(0);
  let before = spaces;
  // One vector more than there are bytes: the last of them may begin what does not end.
  const last = end + 16;
  for (; p < last; p += 16) {
    let bytes = v128.load(p);
    if (p + 16 > end) bytes = v128.bitselect(bytes, spaces, v128.load(ones + min<usize>(16, p + 16 - end)));
    faults = v128.or(faults, v128.or(misplaced(bytes, before), i8x16.lt_u(bytes, spaces)));
    before = bytes;
  }
  return !v128.any_true(faults);
}
