import { MswitchError } from "../../base/errors.js";
import { imageFlag } from "../encode/unigramModule.js";
import { type Charsmap, inspectCharsmap, readCharsmap } from "./charsmap.js";
import { codePointAt } from "./codePoints.js";
import type { NormalizerSpec } from "./modelFile.js";

const space = 0x20;

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

/** A normalizer as `layOutImage` takes it. */
export interface NormalizerTables {
  charsmap: Charsmap;
  /** How a code point may be copied, where not always: values of `copy`. */
  kinds: Map<number, number>;
  /** User-defined pieces: 257 places by first byte, then `{ length u32, bytes }` padded to 4, longest first; empty where none. */
  userDefined: Uint8Array;
  /**
   * ASCII bytes that become one space wherever they stand, and that no rule or user-defined piece holds beside other characters:
   * text may be cut at these before it is normalized.
   */
  separators: Set<number>;
  /** Whether some rule writes a U+2581 of its own. */
  writesSpaceSymbol: boolean;
  /** Bits of `imageFlag`. */
  flags: number;
}

/** Checks a model's normalization rules and lays them out. @throws MswitchError where they are damaged */
export function normalizerTables(options: NormalizerOptions): NormalizerTables {
  const { spec, treatWhitespaceAsSuffix, userDefined, path } = options;
  const charsmap = readCharsmap(spec.precompiledCharsmap);
  const facts = typeof charsmap === "string" ? charsmap : inspectCharsmap(charsmap);
  if (typeof charsmap === "string" || typeof facts === "string") {
    throw new MswitchError("not a whole SentencePiece model", {
      code: "vocabulary-invalid",
      where: path,
      why: String(facts),
    });
  }
  const kinds = new Map<number, number>();
  for (const codePoint of facts.composingFirst) kinds.set(codePoint, copy.unlessMarkFollows);
  for (const codePoint of facts.plainFirst) kinds.set(codePoint, copy.never);
  kinds.set(space, copy.never);
  for (const piece of userDefined) kinds.set(codePointAt(piece, 0, piece.length), copy.never);

  const separators = new Set<number>();
  for (const byte of [...facts.asciiToSpace, ...(facts.asciiRules.has(space) ? [] : [space])]) {
    if (facts.asciiInLongRules.has(byte) || userDefined.some((piece) => piece.includes(byte))) continue;
    separators.add(byte);
  }
  const flags =
    (spec.removeExtraWhitespaces ? imageFlag.removeExtraWhitespaces : 0) |
    (spec.escapeWhitespaces ? imageFlag.escapeWhitespaces : 0) |
    (spec.addDummyPrefix ? (treatWhitespaceAsSuffix ? imageFlag.dummySuffix : imageFlag.dummyPrefix) : 0);
  const { writesSpaceSymbol } = facts;
  return { charsmap, kinds, userDefined: layOut(userDefined), separators, writesSpaceSymbol, flags };
}

function layOut(pieces: Uint8Array[]): Uint8Array {
  if (pieces.length === 0) return new Uint8Array(0);
  const sorted = [...pieces].sort((a, b) => a[0] - b[0] || b.length - a.length);
  const places = new Uint32Array(257);
  const parts: Uint8Array[] = [];
  let at = places.byteLength;
  let next = 0;
  for (let byte = 0; byte < 256; byte++) {
    places[byte] = at;
    for (; next < sorted.length && sorted[next][0] === byte; next++) {
      const part = new Uint8Array(4 + Math.ceil(sorted[next].length / 4) * 4);
      new DataView(part.buffer).setUint32(0, sorted[next].length, true);
      part.set(sorted[next], 4);
      parts.push(part);
      at += part.length;
    }
  }
  places[256] = at;
  return Uint8Array.from(Buffer.concat([new Uint8Array(places.buffer), ...parts]));
}
