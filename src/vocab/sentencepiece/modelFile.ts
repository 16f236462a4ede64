import { MswitchError } from "../../base/errors.js";
import { PieceTexts } from "../encode/pieceTexts.js";
import { readCharsmap } from "./charsmap.js";
import { codePointAt, utf8Length } from "./codePoints.js";
import { type ModelFile, openModelFile } from "./openModelFile.js";
import { type ProtobufFault, type ProtobufField, readFields } from "./protobuf.js";

/** `sentencepiece_model.proto`, `ModelProto.SentencePiece.Type`. */
export const pieceType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

export type ModelType = "unigram" | "bpe" | "word" | "char";

/** What of `TrainerSpec` changes how text is encoded or decoded. */
export interface TrainerSpec {
  modelType: ModelType;
  byteFallback: boolean;
  treatWhitespaceAsSuffix: boolean;
  unkPiece: string;
  eosPiece: string;
  padPiece: string;
  unkSurface: string;
}

/** `NormalizerSpec`, as SentencePiece applies it. */
export interface NormalizerSpec {
  name: string;
  /** Compiled rules: a Darts double array and the texts it points to; empty where nothing is normalized. */
  precompiledCharsmap: Uint8Array;
  addDummyPrefix: boolean;
  removeExtraWhitespaces: boolean;
  escapeWhitespaces: boolean;
}

/** A SentencePiece model, checked. Plain data; the pieces are columns, because there may be 250,000 of them. */
export interface SentencePieceModel extends ModelFile {
  size: number;
  /** The text of piece `i`, in UTF-8, is `bytes[pieceStarts[i], pieceEnds[i])`. */
  pieceStarts: Uint32Array;
  pieceEnds: Uint32Array;
  /** Log probabilities. */
  scores: Float32Array;
  /** Values of `pieceType`. */
  types: Uint8Array;
  unkId: number;
  trainer: TrainerSpec;
  normalizer: NormalizerSpec;
  denormalizer: NormalizerSpec | undefined;
}

const maxPieces = 2 ** 22;
const maxPieceBytes = 2 ** 16;
const modelTypes: Record<number, ModelType> = { 1: "unigram", 2: "bpe", 3: "word", 4: "char" };

/** The text of a piece. */
export function pieceText(model: SentencePieceModel, id: number): string {
  return Buffer.from(model.bytes.buffer, model.bytes.byteOffset, model.bytes.length).toString(
    "utf8",
    model.pieceStarts[id],
    model.pieceEnds[id],
  );
}

/**
 * Reads a SentencePiece `.model` file and checks it as SentencePiece itself does when it loads one.
 *
 * @throws MswitchError naming the file and the byte at fault
 */
export function readModelFile(path: string): SentencePieceModel {
  return parseModel(openModelFile(path));
}

/** `readModelFile` for a file that was opened. */
export function parseModel({ path, bytes, fingerprint }: ModelFile): SentencePieceModel {
  const fault: ProtobufFault = (why, at) =>
    new MswitchError("not a whole SentencePiece model", {
      code: "vocabulary-invalid",
      where: `${path} byte ${at}`,
      why,
      hint: "give a .model file as SentencePiece wrote it; fetch or copy it again if it was cut short",
    });
  if (bytes.length === 0) throw fault("the file is empty", 0);

  /** Start and end of each piece's message. */
  const pieceFields: number[] = [];
  let trainer: TrainerSpec | undefined;
  let normalizer: NormalizerSpec | undefined;
  let denormalizer: NormalizerSpec | undefined;
  readFields(bytes, 0, bytes.length, fault, (field) => {
    if (field.number < 1 || (field.number > 5 && field.number < 200)) {
      throw fault(`a model has no field ${field.number}`, field.at);
    }
    if (field.number > 5) return;
    expectWireType(field, 2, fault);
    if (field.number === 1) {
      if (pieceFields.length === 2 * maxPieces) throw fault(`more than ${maxPieces} pieces`, field.at);
      pieceFields.push(field.start, field.end);
    } else if (field.number === 2) trainer = readTrainerSpec(bytes, field, fault);
    else if (field.number === 3) normalizer = readNormalizerSpec(bytes, field, fault);
    else if (field.number === 5) denormalizer = readNormalizerSpec(bytes, field, fault);
  });
  if (pieceFields.length === 0) throw fault("it holds no pieces", bytes.length);
  if (!trainer) throw fault("it ends before its trainer_spec", bytes.length);
  if (!normalizer) throw fault("it ends before its normalizer_spec", bytes.length);

  const size = pieceFields.length / 2;
  const pieceStarts = new Uint32Array(size);
  const pieceEnds = new Uint32Array(size);
  const scores = new Float32Array(size);
  const types = new Uint8Array(size).fill(pieceType.normal);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let id = 0; id < size; id++) {
    const start = pieceFields[2 * id];
    const end = pieceFields[2 * id + 1];
    // As SentencePiece writes it, all but without cost: text of fewer than 128 bytes, score, type unless normal.
    const text = start + 2;
    const after = text + bytes[start + 1];
    const typed = bytes[after + 5] === 0x18 && bytes[after + 6] >= 1 && bytes[after + 6] <= 6 && after + 7 === end;
    if (bytes[start] === 0x0a && after < text + 128 && bytes[after] === 0x15 && (typed || after + 5 === end)) {
      pieceStarts[id] = text;
      pieceEnds[id] = after;
      scores[id] = view.getFloat32(after + 1, true);
      if (typed) types[id] = bytes[after + 6];
      if (!Number.isFinite(scores[id])) throw fault(`piece ${id} has the score ${scores[id]}`, after);
      continue;
    }
    pieceStarts[id] = pieceEnds[id] = start;
    readFields(bytes, start, end, fault, (field) => {
      if (field.number === 1) {
        expectWireType(field, 2, fault);
        pieceStarts[id] = field.start;
        pieceEnds[id] = field.end;
      } else if (field.number === 2) {
        expectWireType(field, 5, fault);
        scores[id] = view.getFloat32(field.start, true);
        if (!Number.isFinite(scores[id])) throw fault(`piece ${id} has the score ${scores[id]}`, field.at);
      } else if (field.number === 3) {
        expectWireType(field, 0, fault);
        if (field.value < 1 || field.value > 6) throw fault(`piece ${id} has the type ${field.value}`, field.at);
        types[id] = field.value;
      }
    });
  }
  const columns = { path, bytes, fingerprint, size, pieceStarts, pieceEnds, scores, types };
  return { ...columns, unkId: checkPieces(columns, trainer, fault), trainer, normalizer, denormalizer };
}

/** What SentencePiece's `InitializePieces` checks, and that every piece is UTF-8. Returns the id of the unknown piece. */
function checkPieces(
  {
    bytes,
    size,
    pieceStarts,
    pieceEnds,
    types,
  }: Omit<SentencePieceModel, "unkId" | "trainer" | "normalizer" | "denormalizer">,
  trainer: TrainerSpec,
  fault: ProtobufFault,
): number {
  const texts = new PieceTexts(bytes, pieceStarts, pieceEnds);
  let ordinary = 0;
  let unkId = -1;
  let bytePieces = 0;
  for (let id = 0; id < size; id++) {
    const at = pieceStarts[id];
    const length = pieceEnds[id] - at;
    if (length === 0) throw fault(`piece ${id} is empty`, at);
    if (length > maxPieceBytes) throw fault(`piece ${id} has ${length} bytes`, at);
    const wrong = faultOfText(bytes, at, pieceEnds[id]);
    if (wrong) throw fault(`piece ${id} ${wrong}`, at);
    const type = types[id];
    const isOrdinary = type === pieceType.normal || type === pieceType.userDefined || type === pieceType.unused;
    const same = texts.add(id, isOrdinary);
    const text = (): string => JSON.stringify(Buffer.from(bytes.subarray(at, pieceEnds[id])).toString("utf8"));
    if (same >= 0) throw fault(`piece ${id}, ${text()}, is piece ${same} again`, at);
    if (isOrdinary) ordinary++;
    if (type === pieceType.unknown) {
      if (unkId >= 0) throw fault(`piece ${id} is a second unknown piece after ${unkId}`, at);
      unkId = id;
    } else if (type === pieceType.byte) {
      if (!trainer.byteFallback) throw fault(`piece ${id} stands for a byte, but byte_fallback is off`, at);
      if (!/^"<0x[0-9A-F]{2}>"$/.test(text())) throw fault(`piece ${id}, ${text()}, names no byte`, at);
      bytePieces++;
    }
  }
  if (unkId < 0) throw fault("no piece is the unknown one", bytes.length);
  if (ordinary === 0) throw fault("it holds no ordinary piece", bytes.length);
  if (trainer.byteFallback && bytePieces < 256)
    throw fault(`byte_fallback is on with ${bytePieces} of 256 bytes`, bytes.length);
  return unkId;
}

/** What is wrong with a piece's text. */
function faultOfText(bytes: Uint8Array, start: number, end: number): string | undefined {
  for (let at = start; at < end; ) {
    const codePoint = codePointAt(bytes, at, end);
    if (codePoint < 0) return "is not UTF-8";
    if (codePoint === 0) return "holds a NUL";
    at += utf8Length(codePoint);
  }
  return undefined;
}

function readTrainerSpec(bytes: Uint8Array, message: ProtobufField, fault: ProtobufFault): TrainerSpec {
  const spec: TrainerSpec = {
    modelType: "unigram",
    byteFallback: false,
    treatWhitespaceAsSuffix: false,
    unkPiece: "<unk>",
    eosPiece: "</s>",
    padPiece: "<pad>",
    unkSurface: " \u2047 ",
  };
  const texts: Record<number, "unkPiece" | "eosPiece" | "padPiece" | "unkSurface"> = {
    44: "unkSurface",
    45: "unkPiece",
    47: "eosPiece",
    48: "padPiece",
  };
  readFields(bytes, message.start, message.end, fault, (field) => {
    if (field.number === 3) {
      const type = modelTypes[field.value];
      if (field.wireType !== 0 || !type) throw fault(`model type ${field.value} is none of SentencePiece's`, field.at);
      spec.modelType = type;
    } else if (field.number === 24) spec.treatWhitespaceAsSuffix = field.value !== 0;
    else if (field.number === 35) spec.byteFallback = field.value !== 0;
    else if (texts[field.number]) {
      expectWireType(field, 2, fault);
      spec[texts[field.number]] = Buffer.from(bytes.subarray(field.start, field.end)).toString("utf8");
    }
  });
  return spec;
}

function readNormalizerSpec(bytes: Uint8Array, message: ProtobufField, fault: ProtobufFault): NormalizerSpec {
  const spec: NormalizerSpec = {
    name: "",
    precompiledCharsmap: new Uint8Array(0),
    addDummyPrefix: true,
    removeExtraWhitespaces: true,
    escapeWhitespaces: true,
  };
  readFields(bytes, message.start, message.end, fault, (field) => {
    if (field.number === 1 || field.number === 2) expectWireType(field, 2, fault);
    if (field.number === 1) spec.name = Buffer.from(bytes.subarray(field.start, field.end)).toString("utf8");
    else if (field.number === 2) {
      spec.precompiledCharsmap = bytes.subarray(field.start, field.end);
      const charsmap = readCharsmap(spec.precompiledCharsmap);
      if (typeof charsmap === "string") throw fault(charsmap, field.start);
    } else if (field.number === 3) spec.addDummyPrefix = field.value !== 0;
    else if (field.number === 4) spec.removeExtraWhitespaces = field.value !== 0;
    else if (field.number === 5) spec.escapeWhitespaces = field.value !== 0;
  });
  return spec;
}

function expectWireType(field: ProtobufField, wireType: ProtobufField["wireType"], fault: ProtobufFault): void {
  if (field.wireType !== wireType) throw fault(`field ${field.number} has wire type ${field.wireType}`, field.at);
}
