import fc from "fast-check";
import { expect, it } from "vitest";
import { buildModel, type ModelFixture, t5Pieces } from "../../../test/fixtures/modelFixture.js";
import { pieceType } from "../sentencepiece/modelFile.js";
import { buildImage } from "./buildImage.js";
import { UnigramEncoder } from "./unigramEncoder.js";

const unkId = 2;

/** SentencePiece 0.2.2's search in its plainest form, for models without rules and bytes and texts without spaces. */
function segment(pieces: ModelFixture["pieces"], text: string): number[] {
  const ids = new Map(pieces.map(([piece, , type], id) => [piece, type === pieceType.normal ? id : -1]));
  const scores = pieces.map(([, score]) => Math.fround(score));
  const normal = pieces.flatMap(([, score, type]) => (type === pieceType.normal ? [score] : []));
  const unkScore = Math.fround(Math.min(...normal) - 10);
  const characters = [...`▁${text}`];
  const best = characters.map(() => ({ score: Number.NEGATIVE_INFINITY, start: 0, id: unkId }));
  best.unshift({ score: 0, start: 0, id: unkId });
  for (let start = 0; start < characters.length; start++) {
    for (let end = start + 1; end <= characters.length; end++) {
      const known = ids.get(characters.slice(start, end).join("")) ?? -1;
      if (known < 0 && end > start + 1) continue;
      const score = Math.fround(best[start].score + (known < 0 ? unkScore : scores[known]));
      if (score > best[end].score) best[end] = { score, start, id: known < 0 ? unkId : known };
    }
  }
  const path: number[] = [];
  for (let end = characters.length; end > 0; end = best[end].start) path.unshift(best[end].id);
  return path.filter((id, i) => id !== unkId || path[i - 1] !== unkId);
}

/** Pieces are parts of one text and their scores few, so that many pieces end at each place and many segmentations are as good. */
const cases = fc
  .record({
    source: fc.string({ unit: fc.constantFrom("a", "b", "é"), minLength: 40, maxLength: 40 }),
    cuts: fc.array(fc.tuple(fc.nat(39), fc.integer({ min: 1, max: 24 }), fc.integer({ min: 1, max: 12 })), {
      minLength: 1,
      maxLength: 60,
    }),
    parts: fc.array(fc.tuple(fc.nat(39), fc.integer({ min: 1, max: 40 })), { maxLength: 6 }),
    singles: fc.subarray(["a", "b", "é", "▁"]),
  })
  .map(({ source, cuts, parts, singles }) => {
    const characters = [...source];
    const part = (start: number, length: number): string => characters.slice(start, start + length).join("");
    const scored = new Map(singles.map((single) => [single, -3]));
    for (const [start, length, score] of cuts) {
      scored.set(start % 3 === 0 ? `▁${part(start, length)}` : part(start, length), -score / 4);
    }
    const normal = [...scored].map(([text, score]): ModelFixture["pieces"][number] => [text, score, pieceType.normal]);
    return { pieces: [...t5Pieces([], false), ...normal], text: parts.map((cut) => part(...cut)).join("") };
  });

it("finds SentencePiece's segmentation whatever the lengths of pieces", () => {
  fc.assert(
    fc.property(cases, ({ pieces, text }) => {
      const encoder = new UnigramEncoder(buildImage(buildModel({ pieces })));
      const expected = text === "" ? [] : segment(pieces, text);
      // As a word of its own, from the cache, and as a document that may not be cut.
      for (const whole of [text, text, `${text}▁`]) expect([...encoder.encode(Buffer.from(whole))]).toEqual(expected);
    }),
    { numRuns: 150 },
  );
});
