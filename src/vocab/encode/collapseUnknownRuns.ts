import { inspectCharsmap, readCharsmap } from "../sentencepiece/charsmap.js";
import { codePointsOf } from "../sentencepiece/codePoints.js";
import type { SentencePieceModel } from "../sentencepiece/modelFile.js";

/** A run keeps so many characters at either end: more than the longest normalization rule that may reach into it. */
const keptCharacters = 32;

/**
 * Shortens long runs of characters that are in no piece of a model without byte fallback. SentencePiece makes one unknown token of such a
 * run, however long, and takes time that grows with the square of its length; the ids of the shortened text are the same.
 *
 * @returns a function from a text's UTF-8 to the same bytes or shorter ones; undefined for models that spell unknown characters in bytes
 */
export function unknownRunCollapser(model: SentencePieceModel): ((text: Uint8Array) => Uint8Array) | undefined {
  const { trainer, normalizer } = model;
  if (trainer.byteFallback || trainer.modelType === "unigram") return undefined;
  const charsmap = readCharsmap(normalizer.precompiledCharsmap);
  const facts = typeof charsmap === "string" ? charsmap : inspectCharsmap(charsmap);
  if (typeof facts === "string") return undefined;
  const known = new Set<number>([...facts.plainFirst, ...facts.composingFirst, ...facts.asciiRules]);
  for (let id = 0; id < model.size; id++) {
    const piece = model.bytes.subarray(model.pieceStarts[id], model.pieceEnds[id]);
    for (const codePoint of codePointsOf(piece)) known.add(codePoint);
  }
  // Of a word model a whole word is unknown, and so runs go over spaces.
  const overSpaces = trainer.modelType === "word";
  const isUnknown = (codePoint: number): boolean => codePoint > 0x20 && codePoint !== 0xfffd && !known.has(codePoint);

  return (text) => {
    const characters = [...Buffer.from(text.buffer, text.byteOffset, text.length).toString("utf8")];
    const unknown = characters.map((character) => isUnknown(character.codePointAt(0) ?? 0));
    const inRun = (i: number): boolean => {
      if (unknown[i]) return true;
      return overSpaces && characters[i] === " " && unknown[i - 1] === true && unknown[i + 1] === true;
    };
    let shortened: string[] | undefined;
    let copied = 0;
    for (let i = 0; i < characters.length; i++) {
      if (!unknown[i]) continue;
      let end = i + 1;
      while (end < characters.length && inRun(end)) end++;
      if (end - i > 4 * keptCharacters) {
        shortened ??= [];
        for (let k = copied; k < i + keptCharacters; k++) shortened.push(characters[k]);
        copied = end - keptCharacters;
      }
      i = end - 1;
    }
    if (!shortened) return text;
    for (let k = copied; k < characters.length; k++) shortened.push(characters[k]);
    return Buffer.from(shortened.join(""));
  };
}
