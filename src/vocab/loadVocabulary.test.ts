import { mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { buildModel, t5Pieces, writeModel } from "../../test/fixtures/modelFixture.js";
import { loadVocabulary, vocabularyOf } from "./loadVocabulary.js";
import { pieceType } from "./sentencepiece/modelFile.js";

const words = (count: number): string[] => Array.from({ length: count }, (_, i) => `w${i}`);

describe("loadVocabulary", () => {
  it("counts T5's sentinels down from above the model", () => {
    const vocabulary = vocabularyOf(buildModel({ pieces: t5Pieces(words(32_000 - 3), false) }));
    expect(vocabulary).toMatchObject({ size: 32_000, embeddingRows: 32_128, padId: 0, eosId: 1, unkId: 2 });
    expect(vocabulary.sentinelIds).toHaveLength(100);
    expect(vocabulary.sentinelIds[0]).toBe(32_099);
    expect(vocabulary.sentinelIds[99]).toBe(32_000);
  });

  it.each([["▁<extra_id_"], ["<extra_id_"]])("finds mT5's sentinels inside the model, as %s0>", (name) => {
    const pieces = t5Pieces(words(250_000 - 259), true);
    for (let k = 99; k >= 0; k--) pieces.push([`${name}${k}>`, 0, pieceType.userDefined]);
    const vocabulary = vocabularyOf(buildModel({ pieces, byteFallback: true }));
    expect(vocabulary).toMatchObject({ size: 250_100, embeddingRows: 250_112 });
    expect(vocabulary.sentinelIds[0]).toBe(250_099);
    expect(vocabulary.sentinelIds[99]).toBe(250_000);
  });

  it("refuses a gap among the sentinels, and a vocabulary without padding or end", () => {
    const gap = t5Pieces(["▁<extra_id_1>"], false);
    expect(() => vocabularyOf(buildModel({ pieces: gap }))).toThrow(
      expect.objectContaining({ code: "vocabulary-sentinels-incomplete" }),
    );
    const pieces = t5Pieces(["a"], false);
    expect(() => vocabularyOf(buildModel({ pieces: pieces.slice(1) }))).toThrow(
      expect.objectContaining({ code: "vocabulary-piece-missing" }),
    );
    expect(() => vocabularyOf(buildModel({ pieces: [pieces[0], ...pieces.slice(2)] }))).toThrow(
      expect.objectContaining({ code: "vocabulary-piece-missing" }),
    );
  });

  it("tells two files apart by their fingerprints", () => {
    const [a, b] = ["a", "b"].map((text) => vocabularyOf(buildModel({ pieces: t5Pieces([text], false) })));
    expect(a.fingerprint).toMatch(/^[0-9a-f]{64}$/);
    expect(a.fingerprint).not.toBe(b.fingerprint);
  });

  it("says the same of a file that it has seen before, wherever it lies, and nothing of one that was damaged", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mswitch-"));
    vi.stubEnv("XDG_CACHE_HOME", folder);
    const bytes = writeModel({ pieces: t5Pieces(words(50), true), byteFallback: true });
    const [first, second] = ["first.model", "second.model"].map((name) => join(folder, name));
    for (const path of [first, second]) writeFileSync(path, bytes);
    const vocabulary = await loadVocabulary(first);
    expect(vocabulary).toMatchObject({ path: first, size: 309, padId: 0, eosId: 1, unkId: 2 });
    expect(readdirSync(join(folder, "mswitch"))).toHaveLength(1);
    expect(await loadVocabulary(first)).toEqual(vocabulary);
    expect(await loadVocabulary(second)).toEqual({ ...vocabulary, path: second });
    writeFileSync(first, bytes.subarray(0, -1));
    await expect(loadVocabulary(first)).rejects.toMatchObject({
      code: "vocabulary-invalid",
      where: expect.stringMatching(/first\.model byte \d+/),
    });
    vi.unstubAllEnvs();
  });
});
