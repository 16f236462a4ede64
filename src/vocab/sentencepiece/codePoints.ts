/** What a malformed byte becomes, as in SentencePiece: each such byte becomes one U+FFFD. */
export const replacementCharacter = 0xfffd;

/** U+2581, SentencePiece's sign for a space. */
export const spaceSymbol = 0x2581;

/**
 * Decodes the character at `bytes[i]` as SentencePiece's `DecodeUTF8` does: overlong forms, surrogates and values over U+10FFFF
 * are malformed, and of a malformed sequence one byte is taken.
 *
 * @returns the code point, or -1 where the byte is malformed
 */
export function codePointAt(bytes: Uint8Array, i: number, end: number): number {
  const a = bytes[i];
  if (a < 0x80) return a;
  if (a < 0xc2 || a >= 0xf5) return -1;
  if (i + 1 >= end) return -1;
  const b = bytes[i + 1];
  if ((b & 0xc0) !== 0x80) return -1;
  if (a < 0xe0) return ((a & 0x1f) << 6) | (b & 0x3f);
  if (i + 2 >= end) return -1;
  const c = bytes[i + 2];
  if ((c & 0xc0) !== 0x80) return -1;
  if (a < 0xf0) {
    const codePoint = ((a & 0x0f) << 12) | ((b & 0x3f) << 6) | (c & 0x3f);
    return codePoint < 0x800 || (codePoint >= 0xd800 && codePoint < 0xe000) ? -1 : codePoint;
  }
  if (i + 3 >= end) return -1;
  const d = bytes[i + 3];
  if ((d & 0xc0) !== 0x80) return -1;
  const codePoint = ((a & 0x07) << 18) | ((b & 0x3f) << 12) | ((c & 0x3f) << 6) | (d & 0x3f);
  return codePoint < 0x10000 || codePoint > 0x10ffff ? -1 : codePoint;
}

/** Bytes of a code point in UTF-8. */
export function utf8Length(codePoint: number): number {
  return codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
}

/** The code points of UTF-8 bytes, U+FFFD for each malformed byte. */
export function codePointsOf(bytes: Uint8Array): number[] {
  const codePoints: number[] = [];
  for (let i = 0; i < bytes.length; ) {
    const codePoint = codePointAt(bytes, i, bytes.length);
    codePoints.push(codePoint < 0 ? replacementCharacter : codePoint);
    i += codePoint < 0 ? 1 : utf8Length(codePoint);
  }
  return codePoints;
}

/** Calls `emit` for each byte of a code point in UTF-8. */
export function encodeUtf8(codePoint: number, emit: (byte: number) => void): void {
  if (codePoint < 0x80) {
    emit(codePoint);
    return;
  }
  if (codePoint < 0x800) {
    emit(0xc0 | (codePoint >> 6));
  } else {
    if (codePoint < 0x10000) {
      emit(0xe0 | (codePoint >> 12));
    } else {
      emit(0xf0 | (codePoint >> 18));
      emit(0x80 | ((codePoint >> 12) & 0x3f));
    }
    emit(0x80 | ((codePoint >> 6) & 0x3f));
  }
  emit(0x80 | (codePoint & 0x3f));
}
