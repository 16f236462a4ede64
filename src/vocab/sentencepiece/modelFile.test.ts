import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { t5Pieces, writeModel } from "../../../test/fixtures/modelFixture.js";
import { MswitchError } from "../../base/errors.js";
import { buildImage } from "../encode/buildImage.js";
import { UnigramEncoder } from "../encode/unigramEncoder.js";
import { parseModel, pieceText, pieceType, readModelFile } from "./modelFile.js";
import { modelFileOf } from "./openModelFile.js";

const samplePath = fileURLToPath(new URL("../../../vocab/sample.model", import.meta.url));
const sample = new Uint8Array(readFileSync(samplePath));

function errorOf(bytes: Uint8Array): MswitchError {
  try {
    parseModel(modelFileOf("some.model", bytes));
  } catch (error) {
    if (error instanceof MswitchError) return error;
    throw error;
  }
  throw new Error("it was taken for a model");
}

describe("readModelFile", () => {
  it("reads the shipped vocabulary", () => {
    const model = readModelFile(samplePath);
    expect([0, 1, 2, 3, 258].map((id) => pieceText(model, id))).toEqual(["<pad>", "</s>", "<unk>", "<0x00>", "<0xFF>"]);
    expect(model.types.filter((type) => type === pieceType.byte)).toHaveLength(256);
    expect(model.trainer).toMatchObject({ modelType: "unigram", byteFallback: true, unkSurface: " \u2047 " });
    expect(model.normalizer).toMatchObject({ name: "nmt_nfkc", addDummyPrefix: true, removeExtraWhitespaces: true });
    expect(model.normalizer.precompiledCharsmap.length).toBeGreaterThan(100_000);
  });

  it("says so where there is no file, or a folder", () => {
    expect(() => readModelFile("no/such.model")).toThrow(
      expect.objectContaining({ code: "vocabulary-unreadable", where: "no/such.model" }),
    );
    expect(() => readModelFile(tmpdir())).toThrow(expect.objectContaining({ code: "vocabulary-unreadable" }));
  });

  it("reads from the disk what it parses from memory", () => {
    const path = join(mkdtempSync(join(tmpdir(), "mswitch-")), "m.model");
    writeFileSync(path, writeModel({ pieces: t5Pieces(["▁", "a"], false) }));
    expect(pieceText(readModelFile(path), 4)).toBe("a");
  });
});

describe("parseModel", () => {
  it("names file and byte of a model cut short, wherever it was cut", () => {
    const cuts = fc.integer({ min: 0, max: sample.length - 40 });
    fc.assert(
      fc.property(cuts, (length) => {
        const { where, what } = errorOf(sample.subarray(0, length));
        expect(what).toBe("not a whole SentencePiece model");
        expect(where).toMatch(/^some\.model byte \d+$/);
      }),
      { numRuns: 60 },
    );
  });

  it("takes damaged bytes for a model or refuses them, and never fails in another way", () => {
    const change = fc.tuple(fc.integer({ min: 0, max: sample.length - 1 }), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = sample.slice();
        for (const [at, byte] of changes) bytes[at] = byte;
        try {
          const model = parseModel(modelFileOf("some.model", bytes));
          if (model.trainer.modelType !== "unigram") return;
          new UnigramEncoder(buildImage(model)).encode(Buffer.from("ﬁne e\u0301 ① ㌔ 가\u11a8"));
        } catch (error) {
          expect(error).toBeInstanceOf(MswitchError);
        }
      }),
      { numRuns: 40 },
    );
  });

  it("refuses other files", () => {
    expect(errorOf(new Uint8Array(0)).why).toBe("the file is empty");
    expect(errorOf(Buffer.from('{"model": {"type": "Unigram"}}')).where).toBe("some.model byte 0");
    expect(errorOf(Buffer.from("▁the\t-3.2\n▁of\t-3.5\n")).where).toMatch(/byte \d+$/);
    expect(errorOf(new Uint8Array(64)).why).toBe("0 is no field number");
  });

  it("refuses what SentencePiece refuses", () => {
    const pieces = t5Pieces(["▁", "a"], false);
    const why = (change: Partial<Parameters<typeof writeModel>[0]>): string | undefined =>
      errorOf(writeModel({ pieces, ...change })).why;
    expect(why({ pieces: [...pieces, ["", -1, pieceType.normal]] })).toBe("piece 5 is empty");
    expect(why({ pieces: [...pieces, ["a", -1, pieceType.normal]] })).toBe('piece 5, "a", is piece 4 again');
    expect(why({ pieces: [...pieces, ["b", -1, pieceType.unknown]] })).toBe(
      "piece 5 is a second unknown piece after 2",
    );
    expect(why({ pieces: [...pieces, ["b", Number.NaN, pieceType.normal]] })).toBe("piece 5 has the score NaN");
    expect(why({ pieces: [...pieces, ["b", -1, 9]] })).toBe("piece 5 has the type 9");
    expect(why({ pieces: [...pieces, ["a\0b", -1, pieceType.normal]] })).toBe("piece 5 holds a NUL");
    expect(why({ pieces: [...pieces, ["<0x41>", -1, pieceType.byte]] })).toMatch(/byte_fallback is off/);
    expect(why({ pieces: pieces.slice(3) })).toBe("no piece is the unknown one");
    expect(why({ byteFallback: true })).toBe("byte_fallback is on with 0 of 256 bytes");
    expect(why({ modelType: 7 })).toMatch(/model type 7/);
    expect(why({ charsmap: Uint8Array.of(255, 255, 0, 0, 1, 2) })).toMatch(/precompiled_charsmap/);
  });
});
