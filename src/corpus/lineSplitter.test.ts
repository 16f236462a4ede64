import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LineSplitter } from "./lineSplitter.js";

function split(pieces: Uint8Array[], maxLineBytes: number) {
  const lines: { line: string | undefined; number: number; length: number }[] = [];
  const splitter = new LineSplitter(maxLineBytes, (line, number, length) => {
    lines.push({ line: line && Buffer.from(line).toString("latin1"), number, length });
  });
  for (const piece of pieces) splitter.push(piece);
  splitter.end();
  return { lines, count: splitter.lines };
}

describe("LineSplitter", () => {
  it("gives the lines of the whole stream wherever it is cut, and counts empty ones", () => {
    const pieces = fc.array(
      fc.uint8Array({ maxLength: 30 }).map((bytes) => bytes.map((byte) => (byte < 80 ? 10 : byte))),
    );
    fc.assert(
      fc.property(pieces, fc.integer({ min: 1, max: 20 }), (pieces, maxLineBytes) => {
        const whole = Buffer.concat(pieces).toString("latin1");
        const all = whole.split("\n");
        if (all.at(-1) === "") all.pop();
        const expected = all.flatMap((line, i) => {
          const kept = line.length <= maxLineBytes ? line : undefined;
          return line === "" ? [] : [{ line: kept, number: i + 1, length: line.length }];
        });
        expect(split(pieces, maxLineBytes)).toEqual({ lines: expected, count: all.length });
      }),
    );
  });
});
