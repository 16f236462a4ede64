/**
 * Compiled normalization rules (`precompiled_charsmap`): `<size of the trie, 4 bytes><double array><texts, each ended by NUL>`.
 * The double array is Darts-clone's: keys are bytes, a rule's value is where its replacement starts among the texts.
 */
export interface Charsmap {
  units: Uint32Array;
  texts: Uint8Array;
}

/** What a walk over all rules learns about them. */
export interface CharsmapFacts {
  /** First code points of rules of one code point or of a second one below U+0300; others with rules compose with a mark only. */
  plainFirst: Set<number>;
  /** First code points of rules whose second code point is U+0300 or higher. */
  composingFirst: Set<number>;
  /** ASCII bytes that are a whole rule by themselves. */
  asciiRules: Set<number>;
  /** Those of them that become one space. */
  asciiToSpace: Set<number>;
  /** ASCII bytes that occur in a rule beside other bytes. */
  asciiInLongRules: Set<number>;
  /** Whether some replacement holds a U+2581. */
  writesSpaceSymbol: boolean;
}

/** The rules of `nmt_nfkc` are at most 18 bytes long; a charsmap that goes deeper than this is damaged. */
const maxRuleBytes = 256;
/** The lead byte of U+0300, the first combining mark. */
const firstMarkLead = 0xcc;

/** Takes a `precompiled_charsmap` apart; an empty one has no rules. Returns what is wrong with it as a string. */
export function readCharsmap(blob: Uint8Array): Charsmap | string {
  if (blob.length === 0) return { units: new Uint32Array(0), texts: blob };
  if (blob.length <= 4) return "the precompiled_charsmap has no header";
  const trieBytes = new DataView(blob.buffer, blob.byteOffset, 4).getUint32(0, true);
  if (trieBytes % 4 !== 0 || trieBytes === 0 || trieBytes >= blob.length - 4) {
    return `the precompiled_charsmap says its trie has ${trieBytes} bytes, of ${blob.length}`;
  }
  // Copied, because the blob lies unaligned in its file.
  const units = new Uint32Array(Uint8Array.from(blob.subarray(4, 4 + trieBytes)).buffer);
  return { units, texts: blob.subarray(4 + trieBytes) };
}

/** Where the children of a unit start: the child by byte `b` is at this XOR `b`. Bits 10 to 30, scaled by 256 where bit 9 is set. */
export function childrenOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}

/** Whether a unit is the child by `byte`: bits 0 to 7 are its label, and bit 31 is set in one that holds a value instead. */
export function isChild(unit: number, byte: number): boolean {
  return (unit & 0x800000ff) >>> 0 === byte;
}

/** Whether a rule ends at a unit; its value then is the low 31 bits of the child by byte 0. */
export function endsRule(unit: number): boolean {
  return ((unit >>> 8) & 1) === 1;
}

/** The replacement that starts at `value`, without its NUL. */
export function replacementAt(texts: Uint8Array, value: number): Uint8Array {
  const end = texts.indexOf(0, value);
  return texts.subarray(value, end < 0 ? texts.length : end);
}

/**
 * Walks all rules and checks them: every pointer inside its table, no circle, every replacement UTF-8. After it, the
 * search for the longest match needs no checks. Equal subtrees share their units in Darts-clone, so each unit is walked once, whatever leads to it.
 *
 * @returns what it found, or what is wrong as a string
 */
export function inspectCharsmap({ units, texts }: Charsmap): CharsmapFacts | string {
  const facts: CharsmapFacts = {
    plainFirst: new Set(),
    composingFirst: new Set(),
    asciiRules: new Set(),
    asciiToSpace: new Set(),
    asciiInLongRules: new Set(),
    writesSpaceSymbol: false,
  };
  if (units.length === 0) return facts;
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const checkReplacement = (value: number): string | undefined => {
    if (value >= texts.length) return "the precompiled_charsmap points outside its texts";
    try {
      if (utf8.decode(replacementAt(texts, value)).includes("\u2581")) facts.writesSpaceSymbol = true;
    } catch {
      return "the precompiled_charsmap writes a text that is not UTF-8";
    }
    return undefined;
  };

  // 0: not seen; 1: on the way down; 2: done.
  const seen = new Uint8Array(units.length);
  const walk = (node: number, depth: number): string | undefined => {
    if (seen[node] === 2) return undefined;
    if (seen[node] === 1 || depth > maxRuleBytes) return "the precompiled_charsmap's trie runs in a circle";
    seen[node] = 1;
    const base = node ^ childrenOf(units[node]);
    if (endsRule(units[node])) {
      if (base >= units.length) return "the precompiled_charsmap points outside its trie";
      const wrong = checkReplacement(units[base] & 0x7fffffff);
      if (wrong) return wrong;
    }
    for (let byte = 1; byte < 256; byte++) {
      const child = base ^ byte;
      if (child >= units.length || !isChild(units[child], byte)) continue;
      if (byte < 0x80) {
        if (depth === 0 && endsRule(units[child])) {
          facts.asciiRules.add(byte);
          const value = units[child ^ childrenOf(units[child])] & 0x7fffffff;
          if (texts[value] === 0x20 && texts[value + 1] === 0) facts.asciiToSpace.add(byte);
        }
        if (depth > 0 || childBytes(units, child).length > 0) facts.asciiInLongRules.add(byte);
      }
      const wrong = walk(child, depth + 1);
      if (wrong) return wrong;
    }
    seen[node] = 2;
    return undefined;
  };
  const wrong = walk(0, 0);
  if (wrong) return wrong;
  classifyFirst(units, facts);
  return facts;
}

function childBytes(units: Uint32Array, node: number): number[] {
  const base = node ^ childrenOf(units[node]);
  const bytes: number[] = [];
  for (let byte = 1; byte < 256; byte++) {
    const child = base ^ byte;
    if (child < units.length && isChild(units[child], byte)) bytes.push(byte);
  }
  return bytes;
}

/** Sorts the first code points of all rules by what follows them. */
function classifyFirst(units: Uint32Array, facts: CharsmapFacts): void {
  const descend = (node: number, codePoint: number, left: number): void => {
    if (left === 0) {
      const follow = childBytes(units, node);
      if (endsRule(units[node]) || follow.some((byte) => byte < firstMarkLead)) facts.plainFirst.add(codePoint);
      else facts.composingFirst.add(codePoint);
      return;
    }
    const base = node ^ childrenOf(units[node]);
    for (const byte of childBytes(units, node)) descend(base ^ byte, (codePoint << 6) | (byte & 0x3f), left - 1);
  };
  const base = childrenOf(units[0]);
  for (const byte of childBytes(units, 0)) {
    const more = byte < 0x80 ? 0 : byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    descend(base ^ byte, more === 0 ? byte : byte & (0x3f >> more), more);
  }
}
