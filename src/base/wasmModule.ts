import { readFileSync } from "node:fs";

/** What of WebAssembly is used here: TypeScript declares it for browsers only. */
const { WebAssembly } = globalThis as unknown as {
  WebAssembly: {
    Module: new (bytes: Uint8Array) => object;
    Instance: new (module: object, imports: object) => { exports: unknown };
  };
};

/** A module's memory. Its buffer is another one whenever it has grown. */
export interface WasmMemory {
  buffer: ArrayBuffer;
}

/**
 * Makes instances of a module that AssemblyScript compiled, each with a memory of its own. It is compiled once a thread, when the first
 * instance is made. Built code lies in `dist`, for tests in `src` too.
 *
 * @param path of the module, as seen from `base`
 * @param outOfMemory what is thrown then, at a call into the instance
 */
export function wasmModule<Exports>(path: string, outOfMemory: string): () => Exports {
  let compiled: object | undefined;
  const abort = (): never => {
    throw new RangeError(outOfMemory);
  };
  return () => {
    if (!compiled) {
      const url = new URL(path, import.meta.url);
      compiled = new WebAssembly.Module(readFileSync(new URL(url.href.replace(/\/src\/(?!.*\/src\/)/, "/dist/"))));
    }
    return new WebAssembly.Instance(compiled, { env: { abort } }).exports as Exports;
  };
}
