import type { Encoder } from "./encoder.js";
import { instantiateUnigram, type UnigramExports } from "./unigramModule.js";

/** A larger text does not fit the module's memory. */
const maxTextBytes = 2 ** 30;

/** The exact encoder for unigram models: the host of `assembly/unigram.ts`, in which all of the work is done. */
export class UnigramEncoder implements Encoder {
  private readonly wasm: UnigramExports;

  /** @param image of the model, by `buildImage` */
  constructor(image: Uint8Array) {
    this.wasm = instantiateUnigram(image);
  }

  encode(text: Uint8Array): Uint32Array {
    const { wasm } = this;
    const { length } = text;
    if (length > maxTextBytes) throw new RangeError(`a text of ${length} bytes is too long to encode at once`);
    const at = wasm.textAt(length);
    new Uint8Array(wasm.memory.buffer, at, length).set(text);
    const count = wasm.encode(length);
    return new Uint32Array(wasm.memory.buffer, wasm.idsAt(), count);
  }
}
