import { parseModel, pieceType, type SentencePieceModel } from "./modelFile.js";
import { modelFileOf } from "./openModelFile.js";

/** A model for tests, written as SentencePiece would; only what is given differs from its defaults. */
export interface ModelFixture {
  pieces: [text: string, score: number, type: number][];
  modelType?: number;
  byteFallback?: boolean;
  treatWhitespaceAsSuffix?: boolean;
  charsmap?: Uint8Array;
  addDummyPrefix?: boolean;
  removeExtraWhitespaces?: boolean;
  escapeWhitespaces?: boolean;
}

/** `<pad>`, `</s>`, `<unk>` as in T5, then bytes where asked for, then the given pieces with falling scores. */
export function t5Pieces(texts: string[], withBytes: boolean): ModelFixture["pieces"] {
  const pieces: ModelFixture["pieces"] = [
    ["<pad>", 0, pieceType.control],
    ["</s>", 0, pieceType.control],
    ["<unk>", 0, pieceType.unknown],
  ];
  if (withBytes) {
    for (let byte = 0; byte < 256; byte++) {
      pieces.push([`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`, 0, pieceType.byte]);
    }
  }
  texts.forEach((text, i) => {
    pieces.push([text, -2 - i / 16, pieceType.normal]);
  });
  return pieces;
}

/** The bytes of a `.model` file. */
export function writeModel(model: ModelFixture): Uint8Array {
  const pieces = model.pieces.map(([text, score, type]) => {
    const float = Buffer.alloc(5);
    float[0] = 0x15;
    float.writeFloatLE(score, 1);
    return message(1, Buffer.concat([message(1, Buffer.from(text)), float, number(3, type)]));
  });
  const trainer = Buffer.concat([
    number(3, model.modelType ?? 1),
    number(24, model.treatWhitespaceAsSuffix ? 1 : 0),
    number(35, model.byteFallback ? 1 : 0),
  ]);
  const normalizer = Buffer.concat([
    message(2, model.charsmap ?? new Uint8Array(0)),
    number(3, (model.addDummyPrefix ?? true) ? 1 : 0),
    number(4, (model.removeExtraWhitespaces ?? true) ? 1 : 0),
    number(5, (model.escapeWhitespaces ?? true) ? 1 : 0),
  ]);
  return Buffer.concat([...pieces, message(2, trainer), message(3, normalizer)]);
}

/** `writeModel`, read back. */
export function buildModel(model: ModelFixture): SentencePieceModel {
  return parseModel(modelFileOf("fixture.model", writeModel(model)));
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}

function message(field: number, payload: Uint8Array): Buffer {
  return Buffer.concat([varint(field * 8 + 2), varint(payload.length), payload]);
}

function number(field: number, value: number): Buffer {
  return Buffer.concat([varint(field * 8), varint(value)]);
}
