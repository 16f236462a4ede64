import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RejectionCause } from "./document.js";
import { extractText } from "./extractText.js";
import { parseText, type TextFault } from "./parseText.js";

const extract = (line: string | Uint8Array) => extractText(typeof line === "string" ? Buffer.from(line) : line);
const textOf = (line: string) => Buffer.from(extract(line) as Uint8Array).toString();

describe("extractText", () => {
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
    ["a carriage return at the end", '{"text":"a"}\r', "a"],
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
    expect(extract(line)).toEqual({ cause, detail: expect.stringMatching(detail) });
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

  it("find the same texts and refuse the same lines", () => {
    fc.assert(
      fc.property(bytes, fc.nat(3), (line, offset) => {
        const expected = parseText(line);
        // Wherever it lies among the words of memory.
        const placed = Buffer.alloc(offset + line.length + 8, "{").subarray(offset, offset + line.length);
        placed.set(line);
        const found = extractText(placed);
        if (expected instanceof Uint8Array) expect(Buffer.from(found as Uint8Array)).toEqual(expected);
        else expect(found).not.toBeInstanceOf(Uint8Array);
      }),
      { numRuns: 5000 },
    );
  });

  it("name the same cause for a line with one fault", () => {
    const texts = fc.array(fc.constantFrom("a", "é", "\\n", '\\"', "😀", "\\ud83d\\ude00"), { maxLength: 60 });
    const fault = fc.constantFrom("\\ud800", "\\udead", "\\u0000", "\\q", "\\u00g0", "\u0001", "\0");
    fc.assert(
      fc.property(texts, fault, texts, (before, fault, after) => {
        const line = Buffer.from(`{"text":"${[...before, fault, ...after].join("")}"}`);
        const expected = parseText(line) as TextFault;
        const found = extractText(Buffer.from(line)) as TextFault;
        expect(found.cause).toBe(expected.cause);
        if (found.cause !== "invalid-json") expect(found).toEqual(expected);
      }),
      { numRuns: 1000 },
    );
  });
});
