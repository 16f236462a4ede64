import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ModelFixture, t5Pieces, writeModel } from "../../../test/fixtures/modelFixture.js";
import { pieceType, readModelFile } from "../sentencepiece/modelFile.js";
import { buildImage } from "./buildImage.js";
import { createDecoder } from "./createDecoder.js";
import { createLibraryEncoder } from "./libraryEncoder.js";
import { UnigramEncoder } from "./unigramEncoder.js";

const samplePath = fileURLToPath(new URL("../../../vocab/sample.model", import.meta.url));
const sample = readModelFile(samplePath);

describe("createDecoder", () => {
  const decoder = createDecoder(sample);
  const encoder = new UnigramEncoder(buildImage(sample));

  it("decodes as SentencePiece does, whatever the ids", async () => {
    const oracle = await createLibraryEncoder(samplePath);
    const ids = fc.array(fc.oneof(fc.integer({ min: 0, max: sample.size - 1 }), fc.integer({ min: 0, max: 258 })), {
      maxLength: 30,
    });
    fc.assert(
      fc.property(ids, (list) => {
        expect(decoder.decode(list)).toBe(oracle.decode(list));
      }),
      { numRuns: 500 },
    );
  });

  it("gives text back that is normal already", () => {
    for (const s of ["Tất cả mọi người", "모든 인간은", "सभी मनुष्यों", "人皆生而自由", "😀 <0x41>"]) {
      expect(decoder.decode(encoder.encode(Buffer.from(s)))).toBe(s);
    }
  });

  it("writes bytes that are no UTF-8 as U+FFFD, control pieces as nothing, the unknown piece as SentencePiece's mark", () => {
    const byte = (value: number): number => 3 + value;
    expect(decoder.decode([byte(0xe2), byte(0x82), byte(0xac), byte(0xe2), byte(0x82), byte(0x41)])).toBe(
      "€\ufffd\ufffdA",
    );
    expect(decoder.decode([0, 1, byte(0x41), 1])).toBe("A");
    expect(decoder.decode([byte(0x41), 2])).toBe("A \u2047 ");
  });

  it("names sentinels above the model, and no id beyond them", () => {
    const top = sample.size + 99;
    expect(decoder.decode([top, ...encoder.encode(Buffer.from("free")), top - 1])).toBe(
      "<extra_id_0> free<extra_id_1>",
    );
    expect(decoder.pieceOf(sample.size)).toBe("<extra_id_99>");
    expect(decoder.pieceOf(1)).toBe("</s>");
    for (const id of [top + 1, -1, 1.5]) expect(() => decoder.decode([id])).toThrow(RangeError);
  });

  const kinds: [string, Partial<ModelFixture>][] = [
    ["as mT5's", {}],
    ["no dummy prefix", { addDummyPrefix: false }],
    ["extra white space kept", { removeExtraWhitespaces: false }],
    ["white space kept, no prefix", { addDummyPrefix: false, removeExtraWhitespaces: false }],
  ];
  it.each(kinds)("treats first spaces as SentencePiece does: %s", async (_, spec) => {
    const path = join(mkdtempSync(join(tmpdir(), "mswitch-")), "fixture.model");
    const pieces = t5Pieces(["▁", "▁▁", "a", "▁a", "a▁"], true);
    pieces.push(["<sep>", 0, pieceType.userDefined], ["▁<sep>", 0, pieceType.userDefined]);
    writeFileSync(path, writeModel({ ...spec, pieces, byteFallback: true }));
    const oracle = await createLibraryEncoder(path);
    const ours = createDecoder(path);
    const ids = fc.array(
      fc.oneof(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 259, max: pieces.length - 1 }), fc.constant(68)),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(ids, (list) => {
        expect(ours.decode(list)).toBe(oracle.decode(list));
      }),
      { numRuns: 500 },
    );
  });
});
