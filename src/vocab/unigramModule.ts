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
  allocateTables(
    unitBytes: number,
    blockBytes: number,
    ids: number,
    charsmapUnits: number,
    replacements: number,
    userDefined: number,
  ): void;
  setUp(flags: number, cuts: number, unkId: number, unkScore: number, largestScore: number, longest: number): void;
  codePointsAt(): number;
  unitsAt(): number;
  failsAt(): number;
  blocksAt(): number;
  scoresAt(): number;
  byteIdsAt(): number;
  charsmapAt(): number;
  replacementsAt(): number;
  userDefinedAt(): number;
  textAt(length: number): number;
  idsAt(): number;
  charactersAt(): number;
  normalizeText(length: number): number;
  encode(length: number): number;
}

/** The bits of `flags` in `setUp`. */
export const setUpFlag = {
  splits: 1,
  byteFallback: 2,
  comparesDoubles: 4,
  removeExtraWhitespaces: 8,
  dummyPrefix: 16,
  dummySuffix: 32,
  escapeWhitespaces: 64,
} as const;

let compiled: object | undefined;

/** A new instance with a memory of its own; the module is compiled once a thread. Built code lies in `dist`, for tests in `src` too. */
export function instantiateUnigram(): UnigramExports {
  if (!compiled) {
    const url = new URL("unigram.wasm", import.meta.url);
    compiled = new WebAssembly.Module(readFileSync(new URL(url.href.replace(/\/src\/(?!.*\/src\/)/, "/dist/"))));
  }
  const abort = (): never => {
    throw new RangeError("the encoder is out of memory");
  };
  return new WebAssembly.Instance(compiled, { env: { abort } }).exports as UnigramExports;
}
