import type { EventEmitter } from "node:events";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { MswitchError } from "../base/errors.js";
import { registerWasmKernels } from "./wasmKernels/register.js";

const processEvents = ["uncaughtException", "unhandledRejection"] as const;

/** The WebAssembly backend, on the module's own files, with SIMD where the machine has it (any x86 or ARM of this decade). */
export async function loadWasm(): Promise<string> {
  const { setWasmPaths, version_wasm } = await import("@tensorflow/tfjs-backend-wasm");
  const require = createRequire(import.meta.url);
  setWasmPaths(`${dirname(require.resolve("@tensorflow/tfjs-backend-wasm"))}/`);
  registerWasmKernels();

  // Emscripten makes the process rethrow every unhandled error from its own source line: those listeners are taken off again.
  const emitter: EventEmitter = process;
  const before = processEvents.map((event) => new Set(emitter.listeners(event)));
  const done = await tf.setBackend("wasm");
  processEvents.forEach((event, i) => {
    for (const listener of emitter.listeners(event)) {
      if (!before[i].has(listener)) emitter.off(event, listener as () => void);
    }
  });
  if (!done)
    throw new MswitchError("the wasm backend did not start", { code: "backend-not-loadable", hint: "--backend cpu" });
  const simd = (await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT")) === true;
  return `@tensorflow/tfjs-backend-wasm ${version_wasm}: WebAssembly${simd ? " with SIMD" : " without SIMD"}, one thread`;
}
