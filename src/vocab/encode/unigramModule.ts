import { type WasmMemory, wasmModule } from "../../base/builtCode.js";

/** What `assembly/unigram.ts` exports. Pointers are byte offsets into `memory`. */
export interface UnigramExports {
  memory: WasmMemory;
  reserveImage(bytes: number): number;
  useImage(image: number): void;
  textAt(length: number): number;
  idsAt(): number;
  normalizeText(length: number): number;
  encode(length: number): number;
}

/** The bits of the first word of an image, known to `assembly/state.ts` too. */
export const imageFlag = {
  splits: 1,
  byteFallback: 2,
  comparesDoubles: 4,
  removeExtraWhitespaces: 8,
  dummyPrefix: 16,
  dummySuffix: 32,
  escapeWhitespaces: 64,
} as const;

const instantiate = wasmModule<UnigramExports>("unigram", "the encoder is out of memory");

/** A new instance with a memory of its own, set up with an image by `layOutImage`. */
export function instantiateUnigram(image: Uint8Array): UnigramExports {
  const wasm = instantiate();
  const at = wasm.reserveImage(image.length);
  new Uint8Array(wasm.memory.buffer, at, image.length).set(image);
  wasm.useImage(at);
  return wasm;
}
