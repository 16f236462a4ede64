import { sentinelsAbove } from "../loadVocabulary.js";
import { codePointsOf } from "../sentencepiece/codePoints.js";
import { pieceText, pieceType, readModelFile, type SentencePieceModel } from "../sentencepiece/modelFile.js";
import { normalizerTables } from "../sentencepiece/normalizerTables.js";
import type { Decoder } from "./encoder.js";
import { layOutImage } from "./layOutImage.js";
import { instantiateUnigram } from "./unigramModule.js";

/** A decoder that can also name single pieces. */
export interface PieceDecoder extends Decoder {
  /** The piece of an id as it stands in the model (`▁the`, `<0x41>`, `</s>`), `<extra_id_K>` for a sentinel above it. */
  pieceOf(id: number): string;
}

/**
 * Makes the decoder of a SentencePiece model, of any type: byte pieces become the UTF-8 they spell (U+FFFD for each byte that
 * spells none), control pieces nothing, U+2581 a space, and the space that encoding put first is taken off again. A sentinel
 * above the model's pieces is written as `<extra_id_K>`, spaces around it as they are.
 *
 * @param model a `.model` file's path, or the model read from it
 * @throws RangeError (from the decoder) on an id that is neither a piece nor a sentinel
 */
export function createDecoder(model: string | SentencePieceModel): PieceDecoder {
  const read = typeof model === "string" ? readModelFile(model) : model;
  const { size, trainer, normalizer } = read;
  const sentinels = new Map(sentinelsAbove(read).map((id, k) => [id, `<extra_id_${k}>`]));
  const trimsFirstSpace = normalizer.addDummyPrefix || normalizer.removeExtraWhitespaces;
  const types = decodedTypes(read);
  const denormalize = denormalizerOf(read);

  /** Pieces that were asked for, as they stand in the model and with their spaces. */
  const texts: string[] = [];
  const spaced: string[] = [];
  const pieceOf = (id: number): string => {
    if (id >= 0 && id < size && Number.isInteger(id)) {
      texts[id] ??= pieceText(read, id);
      return texts[id];
    }
    const sentinel = sentinels.get(id);
    if (sentinel === undefined) throw new RangeError(`${id} is no id of ${read.path}: it holds ${size} pieces`);
    return sentinel;
  };

  const decode = (ids: Iterable<number>): string => {
    // Joined at the end: a sum of strings would keep a node of each piece for as long as the text is kept.
    const parts: string[] = [];
    const write = (part: string): void => {
      if (part !== "") parts.push(part);
    };
    let bytes: number[] = [];
    const flushBytes = (): void => {
      if (bytes.length === 0) return;
      write(textOfBytes(bytes));
      bytes = [];
    };
    let atStart = true;
    let tookFirstSpace = false;
    for (const id of ids) {
      const piece = pieceOf(id);
      const type = id < size ? types[id] : pieceType.userDefined;
      if (type === pieceType.byte) {
        bytes.push(Number.parseInt(piece.slice(1, -1), 16));
        continue;
      }
      flushBytes();
      if (tookFirstSpace || parts.length > 0) atStart = false;
      tookFirstSpace = false;
      if (type === pieceType.control) continue;
      if (type === pieceType.unknown) {
        write(trainer.unkSurface);
        continue;
      }
      if (atStart && trimsFirstSpace && piece.startsWith("\u2581")) {
        write(piece.slice(1).replaceAll("\u2581", " "));
        // With extra spaces removed, every leading one goes; without, only the one that encoding added.
        tookFirstSpace = !normalizer.removeExtraWhitespaces;
        continue;
      }
      spaced[id] ??= piece.replaceAll("\u2581", " ");
      write(spaced[id]);
    }
    flushBytes();
    const text = parts.join("");
    return denormalize ? denormalize(text) : text;
  };
  return { decode, pieceOf };
}

/** Decodes UTF-8 as SentencePiece does: U+FFFD for each single byte that is malformed. */
function textOfBytes(bytes: number[]): string {
  let text = "";
  for (const codePoint of codePointsOf(Uint8Array.from(bytes))) text += String.fromCodePoint(codePoint);
  return text;
}

/** Types by id as decoding sees them: SentencePiece goes by the piece's text, and reserved texts come before ordinary ones. */
function decodedTypes(model: SentencePieceModel): Uint8Array {
  const types = model.types.slice();
  const reserved = new Map<string, number>();
  for (let id = 0; id < model.size; id++) {
    const type = types[id];
    if (type === pieceType.unknown || type === pieceType.control || type === pieceType.byte)
      reserved.set(pieceText(model, id), type);
  }
  for (let id = 0; id < model.size; id++) {
    const type = types[id];
    if (type === pieceType.normal || type === pieceType.userDefined || type === pieceType.unused) {
      types[id] = reserved.get(pieceText(model, id)) ?? type;
    }
  }
  return types;
}

function denormalizerOf(model: SentencePieceModel): ((text: string) => string) | undefined {
  const spec = model.denormalizer;
  if (!spec || spec.precompiledCharsmap.length === 0) return undefined;
  const normalizer = normalizerTables({ spec, treatWhitespaceAsSuffix: false, userDefined: [], path: model.path });
  const none = new Int32Array(0);
  const wasm = instantiateUnigram(
    layOutImage({
      normalizer,
      trie: { units: none, fails: none, blocks: none, codePoints: none, longestPiece: 1 },
      scores: new Float64Array(0),
      byteIds: new Uint32Array(0),
      flags: 0,
      cuts: 0x20202020,
      unkId: 0,
      unkScore: 0,
      largestScore: 0,
    }),
  );
  return (text) => {
    const bytes = Buffer.from(text);
    // The call may move the memory, so its buffer is looked up after it.
    const at = wasm.textAt(bytes.length);
    new Uint8Array(wasm.memory.buffer, at, bytes.length).set(bytes);
    const count = wasm.normalizeText(bytes.length);
    let result = "";
    for (const codePoint of new Uint32Array(wasm.memory.buffer, wasm.idsAt(), count))
      result += String.fromCodePoint(codePoint);
    return result;
  };
}
