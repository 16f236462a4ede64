import { type WasmMemory, wasmModule } from "../../base/builtCode.js";

/** What `assembly/gunzip/gunzip.ts` exports. Pointers are byte offsets into `memory`. */
interface GunzipExports {
  memory: WasmMemory;
  start(): void;
  chunkAt(): number;
  addInput(length: number): void;
  inflate(): number;
  pieceAt(): number;
  pieceLength(): number;
  mayEnd(): number;
}

/** Compressed bytes that the module takes at once. */
const chunkBytes = 64 * 1024;

/** What `inflate` answers, as in `assembly/gunzip/status.ts`. */
const inputNeeded = 0;
const pieceFull = 1;
const ended = 2;

/** The faults after them, as zlib names them. */
const faults = [
  "incorrect header check",
  "unknown compression method",
  "unknown header flags set",
  "header crc mismatch",
  "invalid block type",
  "invalid stored block lengths",
  "too many length or distance symbols",
  "invalid code lengths set",
  "invalid bit length repeat",
  "invalid code -- missing end-of-block",
  "invalid literal/lengths set",
  "invalid distances set",
  "invalid literal/length code",
  "invalid distance code",
  "invalid distance too far back",
  "incorrect data check",
  "incorrect length check",
];

const instantiate = wasmModule<GunzipExports>("gunzip", "the inflater is out of memory");

/** Inflates gzip streams, one after the other: the host of `assembly/gunzip/gunzip.ts`, in which all of the work is done. */
export class Inflater {
  readonly #wasm = instantiate();
  #ended = false;
  #fault: string | undefined;

  /** What is wrong with the stream, in zlib's words. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** Whether the stream may end where it is now. */
  get mayEnd(): boolean {
    return this.#ended || this.#wasm.mayEnd() !== 0;
  }

  /** Begins a new stream. */
  start(): void {
    this.#ended = false;
    this.#fault = undefined;
    this.#wasm.start();
  }

  /**
   * Inflates a chunk of the stream, up to a fault; what comes after that, or after the padding behind the last member, is passed over.
   *
   * @returns pieces, each valid until the next is asked for and not to be changed: what follows is put together of them
   */
  *inflate(chunk: Uint8Array): Generator<Uint8Array, void> {
    const wasm = this.#wasm;
    for (let from = 0; from < chunk.length; from += chunkBytes) {
      if (this.#ended || this.#fault !== undefined) return;
      const part = chunk.subarray(from, from + chunkBytes);
      new Uint8Array(wasm.memory.buffer, wasm.chunkAt(), part.length).set(part);
      wasm.addInput(part.length);
      let status: number;
      do {
        status = wasm.inflate();
        if (status === ended) this.#ended = true;
        else if (status > ended) this.#fault = faults[status - ended - 1];
        const length = wasm.pieceLength();
        if (length > 0) yield new Uint8Array(wasm.memory.buffer, wasm.pieceAt(), length);
      } while (status === pieceFull);
      if (status !== inputNeeded) return;
    }
  }
}
