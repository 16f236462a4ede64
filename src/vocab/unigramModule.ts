import { readFileSync } from "node:fs";

/** What of WebAssembly is used here: TypeScript declares it for browsers only. */
const { WebAssembly } = globalThis as unknown as {
  WebAssembly: {
    Module: new (bytes: Uint8Array) => object;
    Instance: new (module: object, imports: object) => { exports: unknown };
  };
};

/** What `assembly/unigram.ts` exports. Pointers are byte offsets into `memory`. */
export interface UnigramExports {
  memory: { buffer: ArrayBuffer };
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

let compiled: object | undefined;

/**
 * A new instance with a memory of its own, set up with an image by `layOutImage`. The module is compiled once a thread. Built code
 * lies in `dist`, for tests in `src` too.
 */
export function instantiateUnigram(image: Uint8Array): UnigramExports {
  if (!compiled) {
    const url = new URL("../vocab/unigram.wasm", import.meta.url);
    compiled = new WebAssembly.Module(readFileSync(new URL(url.href.replace(/\/src\/(?!.*\/src\/)/, "/dist/"))));
  }
  const abort = (): never => {
    throw new RangeError("the encoder is out of memory");
  };
  const wasm = new WebAssembly.Instance(compiled, { env: { abort } }).exports as UnigramExports;
  const at = wasm.reserveImage(image.length);
  new Uint8Array(wasm.memory.buffer, at, image.length).set(image);
  wasm.useImage(at);
  return wasm;
}
