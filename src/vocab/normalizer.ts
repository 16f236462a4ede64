import { MswitchError } from "../base/errors.js";
import {
  type Charsmap,
  childrenOf,
  endsRule,
  inspectCharsmap,
  isChild,
  readCharsmap,
  replacementAt,
} from "./charsmap.js";
import { codePointAt, replacementCharacter, spaceSymbol, utf8Length } from "./codePoints.js";
import type { NormalizerSpec } from "./modelFile.js";

const space = 0x20;
/** Bytes below this are no part of a combining mark: U+0300, the first one, is CC 80. */
const firstMarkLead = 0xcc;

/** Whether a code point may be copied without a look at the rules. */
const copy = { always: 0, unlessMarkFollows: 1, never: 2 } as const;

/** What a normalizer is made from. */
export interface NormalizerOptions {
  spec: NormalizerSpec;
  treatWhitespaceAsSuffix: boolean;
  /** Texts of user-defined pieces, which go through as they are. */
  userDefined: Uint8Array[];
  /** The model file, for errors. */
  path: string;
}

/** SentencePiece's normalizer (`normalizer.cc`), from UTF-8 bytes to code points. It owns the buffer it writes to. */
export class Normalizer {
  /** The last result: valid until the next call of `normalize`. */
  output = new Int32Array(256);
  /**
   * 1 for each ASCII byte that becomes one space wherever it stands, and that no rule or user-defined piece holds beside other
   * characters: text may be cut at these before it is normalized.
   */
  readonly separators = new Uint8Array(256);
  /** Whether some rule writes a U+2581 of its own. */
  readonly writesSpaceSymbol: boolean;

  private readonly copyable = new Uint8Array(0x110000);
  private readonly charsmap: Charsmap;
  /** User-defined pieces by their first byte, longest first. */
  private readonly userDefined: (Uint8Array[] | undefined)[] = new Array(256);
  private readonly spec: NormalizerSpec;
  private readonly dummyPrefix: boolean;
  private readonly dummySuffix: boolean;
  /** Of the last `match`: bytes it covers, and the bytes it becomes, `source[from, to)`. */
  private matched = 0;
  private source: Uint8Array = new Uint8Array(0);
  private from = 0;
  private to = 0;

  constructor({ spec, treatWhitespaceAsSuffix, userDefined, path }: NormalizerOptions) {
    const charsmap = readCharsmap(spec.precompiledCharsmap);
    const facts = typeof charsmap === "string" ? charsmap : inspectCharsmap(charsmap);
    if (typeof charsmap === "string" || typeof facts === "string") {
      throw new MswitchError("not a whole SentencePiece model", { where: path, why: String(facts) });
    }
    this.charsmap = charsmap;
    this.spec = spec;
    this.dummyPrefix = spec.addDummyPrefix && !treatWhitespaceAsSuffix;
    this.dummySuffix = spec.addDummyPrefix && treatWhitespaceAsSuffix;
    this.writesSpaceSymbol = facts.writesSpaceSymbol;

    for (const codePoint of facts.composingFirst) this.copyable[codePoint] = copy.unlessMarkFollows;
    for (const codePoint of facts.plainFirst) this.copyable[codePoint] = copy.never;
    this.copyable[space] = copy.never;
    for (const piece of userDefined) {
      this.copyable[codePointAt(piece, 0, piece.length)] = copy.never;
      const others = this.userDefined[piece[0]] ?? [];
      this.userDefined[piece[0]] = [...others, piece].sort((a, b) => b.length - a.length);
    }

    for (let byte = 1; byte < 0x80; byte++) {
      if (facts.asciiInLongRules.has(byte) || userDefined.some((piece) => piece.includes(byte))) continue;
      this.match(Uint8Array.of(byte), 0, 1);
      if (this.to - this.from === 1 && this.source[this.from] === space) this.separators[byte] = 1;
    }
  }

  /**
   * Normalizes `bytes[start, end)` as a text of its own: compiled rules, longest first; user-defined pieces kept; spaces merged
   * and trimmed; the dummy prefix added; spaces written as U+2581; each as the model says. Malformed bytes become U+FFFD.
   *
   * @returns the number of code points in `output`
   */
  normalize(bytes: Uint8Array, start: number, end: number): number {
    const { copyable } = this;
    const { removeExtraWhitespaces, escapeWhitespaces } = this.spec;
    const writtenSpace = escapeWhitespaces ? spaceSymbol : space;
    let output = this.reserve(end - start + 2, 0);
    let count = 0;
    let afterSpace = removeExtraWhitespaces;
    // Spaces alone, however many rules wrote them, leave nothing, not even the dummy prefix or suffix.
    let onlySpaces = true;
    if (this.dummyPrefix) output[count++] = writtenSpace;
    for (let i = start; i < end; ) {
      const codePoint = codePointAt(bytes, i, end);
      if (codePoint >= 0) {
        const kind = copyable[codePoint];
        const next = i + utf8Length(codePoint);
        if (kind === copy.always || (kind === copy.unlessMarkFollows && (next >= end || bytes[next] < firstMarkLead))) {
          output[count++] = codePoint;
          i = next;
          afterSpace = false;
          onlySpaces = false;
          continue;
        }
      }
      if (codePoint < 0) {
        output[count++] = replacementCharacter;
        i++;
        afterSpace = false;
        onlySpaces = false;
        continue;
      }
      this.match(bytes, i, end);
      i += this.matched;
      const { source, to } = this;
      let { from } = this;
      if (!removeExtraWhitespaces || to - from !== 1 || source[from] !== space) onlySpaces = false;
      while (afterSpace && from < to && source[from] === space) from++;
      if (from === to) continue;
      afterSpace = removeExtraWhitespaces && source[to - 1] === space;
      output = this.reserve(count + (to - from) + (end - i) + 1, count);
      while (from < to) {
        const written = codePointAt(source, from, to);
        output[count++] = written === space ? writtenSpace : written;
        from += utf8Length(written);
      }
    }
    if (onlySpaces) return 0;
    if (removeExtraWhitespaces) while (count > 0 && output[count - 1] === writtenSpace) count--;
    if (this.dummySuffix) output[count++] = writtenSpace;
    return count;
  }

  /** Finds the longest user-defined piece at a well-formed character, or else the longest rule, or else the character itself. */
  private match(bytes: Uint8Array, i: number, end: number): void {
    for (const piece of this.userDefined[bytes[i]] ?? []) {
      let k = 1;
      while (k < piece.length && i + k < end && piece[k] === bytes[i + k]) k++;
      if (k < piece.length) continue;
      this.matched = piece.length;
      this.source = piece;
      this.from = 0;
      this.to = piece.length;
      return;
    }
    const { units, texts } = this.charsmap;
    this.matched = 0;
    if (units.length > 0) {
      let node = childrenOf(units[0]);
      let value = 0;
      for (let j = i; j < end; j++) {
        node ^= bytes[j];
        if (node >= units.length || !isChild(units[node], bytes[j])) break;
        const unit = units[node];
        node ^= childrenOf(unit);
        if (endsRule(unit)) {
          value = units[node] & 0x7fffffff;
          this.matched = j + 1 - i;
        }
      }
      if (this.matched > 0) {
        this.source = replacementAt(texts, value);
        this.from = 0;
        this.to = this.source.length;
        return;
      }
    }
    this.matched = utf8Length(codePointAt(bytes, i, end));
    this.source = bytes;
    this.from = i;
    this.to = i + this.matched;
  }

  /** Makes room for `needed` code points and keeps the first `kept`. */
  private reserve(needed: number, kept: number): Int32Array {
    if (this.output.length < needed) {
      const larger = new Int32Array(2 * needed);
      larger.set(this.output.subarray(0, kept));
      this.output = larger;
    }
    return this.output;
  }
}
