import { readModelFile } from "../sentencepiece/modelFile.js";
import { unknownRunCollapser } from "./collapseUnknownRuns.js";
import type { Encoder } from "./encoder.js";

/** SentencePiece itself, compiled to WebAssembly: an encoder for every model type, and the oracle of tests. */
export interface LibraryEncoder extends Encoder {
  decode(ids: number[]): string;
}

/**
 * Loads `sentencepiece-js` on a model. The package's Emscripten runtime puts handlers for uncaught exceptions and rejections on
 * the process; they are taken off again, because a library does not decide how the program ends.
 *
 * @param options `collapseRuns: false` gives the library every text as it is
 */
export async function createLibraryEncoder(path: string, { collapseRuns = true } = {}): Promise<LibraryEncoder> {
  const collapse = collapseRuns ? unknownRunCollapser(readModelFile(path)) : undefined;
  const { SentencePieceProcessor } = await import("sentencepiece-js");
  const processor = new SentencePieceProcessor();
  const events = ["uncaughtException", "unhandledRejection"] as const;
  const before = events.map((event) => new Set<unknown>(process.listeners(event as "uncaughtException")));
  try {
    await processor.load(path);
  } finally {
    events.forEach((event, i) => {
      for (const listener of process.listeners(event as "uncaughtException")) {
        if (!before[i].has(listener)) process.off(event, listener);
      }
    });
  }
  return {
    encode: (text) => Uint32Array.from(processor.encodeIds(collapse ? collapse(text) : text)),
    decode: (ids) => processor.decodeIds(ids),
  };
}
