import { isUtf8 } from "node:buffer";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RejectionCause } from "./document.js";
import { parseText } from "./parseText.js";
import { type FoundLine, TextFinder } from "./textFinder.js";

const finder = new TextFinder();
const none = Buffer.alloc(0);

/** What is found in pieces of a stream, copied. */
function find(pieces: Uint8Array[], maxLineBytes = 1e6): FoundLine[] {
  const found: FoundLine[] = [];
  const take = (lines: Iterable<FoundLine>) => {
    for (const one of lines) {
      if ("text" in one) found.push({ ...one, text: Buffer.from(one.text) });
      else if ("line" in one) found.push({ ...one, line: Buffer.from(one.line) });
      else found.push(one);
    }
  };
  finder.start(maxLineBytes, "text");
  for (const piece of pieces) take(finder.push(piece));
  take(finder.end());
  return found;
}

/** The text of one line, or what is wrong with it, and whether it was found in the bytes. */
function extract(line: string | Uint8Array) {
  const [found] = find([Buffer.from(line as string)]);
  if ("text" in found) return { text: found.text, isPlain: true };
  return { text: parseText((found as { line: Uint8Array }).line, "text"), isPlain: false };
}

const textOf = (line: string) => Buffer.from(extract(line).text as Uint8Array).toString();

describe("TextFinder", () => {
  it("gives the lines of the whole stream wherever it is cut, and counts empty ones", () => {
    const bytes = fc.uint8Array({ maxLength: 30 }).map((bytes) => bytes.map((byte) => (byte < 80 ? 10 : byte)));
    // Plain bytes between them, so that lines reach over several pieces and vectors.
    const pieces = fc.array(
      fc.oneof(
        bytes,
        fc.nat(70).map((length) => Buffer.alloc(length, "x")),
      ),
    );
    fc.assert(
      fc.property(pieces, fc.integer({ min: 1, max: 100 }), (pieces, maxLineBytes) => {
        const whole = Buffer.concat(pieces).toString("latin1");
        const all = whole.split("\n");
        if (all.at(-1) === "") all.pop();
        const expected = all.flatMap((line, i): object[] => {
          const number = i + 1;
          if (line === "") return [];
          return line.length > maxLineBytes ? [{ number, length: line.length }] : [{ number, line }];
        });
        const found = find(pieces, maxLineBytes);
        expect(
          found.map((one) => ("line" in one ? { ...one, line: Buffer.from(one.line).toString("latin1") } : one)),
        ).toEqual(expected);
        expect(finder.lines).toBe(all.length);
      }),
    );
  });

  it("finds the texts of lines as mC4 has them in their bytes, over any pieces", () => {
    const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 300 }).filter((text) => !text.includes("\0"));
    const size = fc.integer({ min: 1, max: 700 });
    fc.assert(
      fc.property(fc.array(text, { maxLength: 8 }), size, fc.boolean(), (texts, size, spaced) => {
        const gap = spaced ? " " : "";
        const rest = `"timestamp":${gap}"2019-04-25T12:57:54Z",${gap}"url":${gap}"https://a.b/c"`;
        const lines = texts.map((text) => `{"text":${gap}${JSON.stringify(text)},${gap}${rest}}\n`);
        const whole = Buffer.from(lines.join(""));
        const pieces = Array.from({ length: Math.ceil(whole.length / size) }, (_, i) =>
          whole.subarray(i * size, i * size + size),
        );
        expect(find(pieces)).toEqual(texts.map((text, i) => ({ number: i + 1, text: Buffer.from(text) })));
      }),
    );
  });

  it("takes lines of a megabyte, piece by piece", () => {
    const texts = ["a", "é\n".repeat(400_000), "b", "x".repeat(900_000)];
    const whole = Buffer.from(texts.map((text) => `${JSON.stringify({ text })}\n`).join(""));
    const pieces = Array.from({ length: Math.ceil(whole.length / 65536) }, (_, i) =>
      whole.subarray(i * 65536, i * 65536 + 65536),
    );
    const found = find(pieces, 2 ** 21);
    expect(found.length).toBe(4);
    for (const [i, text] of texts.entries()) {
      expect(Buffer.from((found[i] as { text: Uint8Array }).text).equals(Buffer.from(text))).toBe(true);
    }
  });

  it("knows nothing of the stream before", () => {
    finder.start(100, "text");
    finder.push(Buffer.from('{"text":"a')).next();
    expect(find([Buffer.from('{"text":"b"}')])).toEqual([{ number: 1, text: Buffer.from("b") }]);
    expect(find([none])).toEqual([]);
  });

  it("gives any text back, escaped or not, whatever else the line holds", () => {
    const text = fc.string({ unit: "binary", minLength: 1 }).filter((value) => !value.includes("\0"));
    fc.assert(
      fc.property(text, fc.jsonValue(), fc.boolean(), (text, url, ascii) => {
        const line = JSON.stringify({ url, text, timestamp: "2019-04-25T12:57:54Z" });
        const toEscape = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
        expect(textOf(ascii ? line.replace(/[\u0080-\uffff]/g, toEscape) : line)).toBe(text);
      }),
    );
  });

  it.each([
    ["a carriage return at the end", '{"text":"a"}\r\r', "a"],
    ["white space", ' { "text" :\t"a" } ', "a"],
    ["an escaped name", '{"t\\u0065xt":"é"}', "é"],
    ["the field twice", '{"text":"a","text":"é"}', "é"],
    ["a nested text", '{"meta":{"text":"no"},"text":"yes"}', "yes"],
    ["a surrogate pair in escapes", '{"text":"\\ud83d\\ude00"}', "😀"],
    ["a backslash before a u", '{"text":"\\\\u0000 é"}', "\\u0000 é"],
    ["letters beyond Latin-1 and escapes at once", '{"text":"ዎ\\u00e9\\n"}', "ዎé\n"],
    ["U+FFFD itself", '{"text":"\ufffd"}', "\ufffd"],
    ["a name of the prototype", '{"__proto__":1,"text":"a"}', "a"],
  ])("reads %s", (_, line, text) => {
    expect(textOf(line)).toBe(text);
  });

  const faults: [string, string | Uint8Array, RejectionCause, RegExp][] = [
    ["half a line", '{"text":"a', "invalid-json", /not JSON \(.+\)/],
    ["two values", '{"text":"a"} {"text":"b"}', "invalid-json", /not JSON/],
    ["a control character", '{"text":"a\u0001b"}', "invalid-json", /^[^\p{Cc}]+$/u],
    ["an array", '[{"text":"a"}]', "not-an-object", /an array/],
    ["null", "null", "not-an-object", /null/],
    ["a string", '"text"', "not-an-object", /a string/],
    ["no text", '{"Text":"a","__proto__":{"text":"b"}}', "missing-text", /no field text/],
    ["a number for text", '{"text":5}', "text-not-string", /a number/],
    ["null for text", '{"text":null}', "text-not-string", /null/],
    ["an empty text", '{"text":""}', "empty-text", /empty/],
    ["a NUL as it is", '{"text":"ab\0"}', "nul", /byte 12 /],
    ["a NUL by an escape", '{"text":"a\\u0000b"}', "nul", /character 2 /],
    ["a lone high surrogate", '{"text":"a\\ud800b"}', "lone-surrogate", /character 2 /],
    ["a lone low surrogate", '{"text":"\\uDC00"}', "lone-surrogate", /character 1 /],
    ["pairs the wrong way round", '{"text":"😀\\ude00\\ud83d"}', "lone-surrogate", /character 3 /],
    ["a Latin-1 byte", Buffer.from('{"text":"é"}', "latin1"), "invalid-utf8", /byte 10 /],
    ["a surrogate in bytes", Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), "invalid-utf8", /byte 2 /],
    ["an overlong byte sequence", Buffer.from([0x22, 0xc0, 0x80, 0x22]), "invalid-utf8", /byte 2 /],
    ["a character cut short", Buffer.from('{"text":"é').subarray(0, -1), "invalid-utf8", /byte 10 /],
  ];
  it.each(faults)("refuses %s", (_, line, cause, detail) => {
    expect(extract(line).text).toEqual({ cause, detail: expect.stringMatching(detail) });
  });
});

describe("the bytes' way and JSON.parse's", () => {
  /** What is written into a line: pieces of JSON, whole and broken. */
  const token = fc.oneof(
    fc.constantFrom("{", "}", "[", "]", ",", ":", '"', "\\", " ", "\t", "\r", "\0", "\u001f", "\u007f"),
    fc.constantFrom('"text"', '"text": "', '"url":"u"', "null", "1e5", "\\u", "\\n", "\\/", "\\\\", '\\"', "\\x"),
    fc.constantFrom("\\ud83d", "\\ude00", "\\uD83D\\uDE00", "\\u0000", "\\u00e9", "\\u12g4", "\\u1", "é", "ሰላም", "😀"),
    fc.string({ unit: "binary", maxLength: 40 }),
  );
  const broken = fc.array(token, { maxLength: 12 }).map((tokens) => tokens.join(""));
  const member = fc.tuple(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom('"text"', '"url"', '"timestamp"', '"t\\u0065xt"') },
      { weight: 1, arbitrary: broken },
    ),
    fc.oneof(
      { weight: 3, arbitrary: broken.map((inner) => `"${inner}"`) },
      { weight: 1, arbitrary: fc.jsonValue().map((value) => JSON.stringify(value)) },
    ),
  );
  const spaces = fc.constantFrom("", " ", "  ", "\t", "\r");
  const object = fc
    .tuple(fc.array(fc.tuple(member, spaces, spaces), { maxLength: 4 }), spaces)
    .map(
      ([members, end]) =>
        `{${members.map(([[name, value], a, b]) => `${a}${name}${b}:${a}${value}${b}`).join(",")}}${end}`,
    );
  const bytes = fc.tuple(fc.oneof(object, broken), fc.option(fc.tuple(fc.nat(), fc.nat(255)))).map(([line, change]) => {
    const bytes = Buffer.from(line);
    // Now and then a byte that makes it no UTF-8.
    if (change && bytes.length > 0) bytes[change[0] % bytes.length] = change[1];
    return bytes;
  });

  it("find the same texts, and what is at fault goes the other one", () => {
    fc.assert(
      fc.property(bytes, fc.nat(70), (line, offset) => {
        fc.pre(line.length > 0 && !line.includes(10));
        const expected = parseText(line, "text");
        // Wherever it lies among the vectors of memory, whatever stands behind it.
        const pieces = [Buffer.alloc(offset, "x"), Buffer.from("\n"), line, Buffer.from('\n"\\}{')];
        const found = find(pieces).find(({ number }) => number === 2);
        if (found === undefined) expect(line.every((byte) => byte === 13)).toBe(true);
        else if ("text" in found) expect(found.text).toEqual(expected);
        else
          expect((found as { line: Uint8Array }).line).toEqual(
            Buffer.from(line.toString("latin1").replace(/\r+$/, ""), "latin1"),
          );
      }),
      { numRuns: 5000 },
    );
  });

  it("agree on what is UTF-8", () => {
    const head = Buffer.from('{"text":"');
    const byte = fc.oneof(
      fc.constantFrom(
        0x7f,
        0x80,
        0x8f,
        0x90,
        0x9f,
        0xa0,
        0xbf,
        0xc0,
        0xc1,
        0xc2,
        0xdf,
        0xe0,
        0xe1,
        0xec,
        0xed,
        0xee,
        0xef,
      ),
      fc.constantFrom(0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff, 0x41, 0x61),
    );
    const good = fc
      .constantFrom("é", "ሰ", "😀", "\u{10ffff}", "\ud7ff", "\ue000", "\u0800", "\u07ff")
      .map((one) => Buffer.from(one));
    const part = fc.oneof(
      { weight: 4, arbitrary: good },
      { weight: 1, arbitrary: fc.array(byte, { maxLength: 4 }).map((bytes) => Buffer.from(bytes)) },
    );
    fc.assert(
      fc.property(fc.nat(20), fc.array(part, { minLength: 1, maxLength: 12 }), (shift, parts) => {
        const line = Buffer.concat([head, Buffer.alloc(shift + 1, "a"), ...parts, Buffer.from('"}')]);
        expect(extract(line).isPlain).toBe(isUtf8(line));
      }),
      { numRuns: 5000 },
    );
    for (let first = 0x80; first < 256; first++) {
      for (let second = 0x80; second < 256; second++) {
        const bytes = [
          [first, second],
          [first, second, 0x80],
          [first, second, 0xbf, 0x80],
          [first, second, 0xbf, 0x80, 0x80],
        ];
        for (const middle of bytes) {
          const line = Buffer.concat([head, Buffer.from(middle), Buffer.from('"}')]);
          expect(extract(line).isPlain).toBe(isUtf8(line));
        }
      }
    }
  });
});
