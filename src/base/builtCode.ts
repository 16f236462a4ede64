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
 * instance is made.
 *
 * @param name of the module in `dist/wasm`
 * @param outOfMemory what is thrown then, at a call into the instance
 */
export function wasmModule<Exports>(name: string, outOfMemory: string): () => Exports {
  let compiled: object | undefined;
  const abort = (): never => {
    throw new RangeError(outOfMemory);
  };
  return () => {
    if (!compiled) {
      compiled = new WebAssembly.Module(readFileSync(new URL(`dist/wasm/${name}.wasm`, packageRoot)));
    }
    return new WebAssembly.Instance(compiled, { env: { abort } }).exports as Exports;
  };
}

/**
 * The compiled JavaScript of a worker module. Worker threads cannot load TypeScript.
 *
 * @param name the worker's path without extension, relative to the caller: `"./shardWorker"`
 * @param base the caller's `import.meta.url`
 */
export function workerUrl(name: string, base: string): URL {
  return builtUrl(`${name}.js`, base);
}

/** This package's folder, wherever the caller was compiled or bundled to. */
export const packageRoot = new URL(import.meta.url.replace(/\/(?:src|dist)\/(?!.*\/(?:src|dist)\/).*$/, "/"));

/** Where a built file lies: in `dist`, also for code that runs from `src` (under vitest). */
function builtUrl(path: string, base: string): URL {
  return new URL(new URL(path, base).href.replace(/\/src\/(?!.*\/src\/)/, "/dist/"));
}
