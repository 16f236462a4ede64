import { createDecoder } from "./encode/createDecoder.js";
import { createEncoder } from "./encode/createEncoder.js";
import type { Decoder } from "./encode/encoder.js";
import { parseModel } from "./sentencepiece/modelFile.js";
import { openModelFile } from "./sentencepiece/openModelFile.js";

/** A SentencePiece model at work. One instance per thread: it keeps buffers and caches. */
export interface Tokenizer {
  /** Ids of one document, exactly SentencePiece's; UTF-8 bytes are encoded without a detour through a string. */
  encode(text: string | Uint8Array): Uint32Array;
  /** Ids of many documents, each in an array of its own. */
  encodeBatch(texts: Iterable<string | Uint8Array>): Uint32Array[];
  /** The text of ids. Throws RangeError on an id that is neither a piece nor a sentinel. */
  decode(ids: Iterable<number>): string;
}

/**
 * Opens a SentencePiece `.model` file: `import { openTokenizer } from "mswitch/vocab"`.
 *
 * @throws MswitchError where the file is no whole model
 */
export async function openTokenizer(path: string): Promise<Tokenizer> {
  const file = openModelFile(path);
  const encoder = await createEncoder(file);
  // Where the encoder was kept, only decoding needs the pieces.
  let decoder: Decoder | undefined;
  const decode = (ids: Iterable<number>): string => {
    decoder ??= createDecoder(parseModel(file));
    return decoder.decode(ids);
  };
  // The encoder's result is a view that its next call overwrites.
  const encode = (text: string | Uint8Array): Uint32Array =>
    encoder.encode(typeof text === "string" ? Buffer.from(text) : text).slice();
  return { encode, encodeBatch: (texts) => Array.from(texts, encode), decode };
}
