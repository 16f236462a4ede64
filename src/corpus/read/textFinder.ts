import { type WasmMemory, wasmModule } from "../../base/builtCode.js";

/** What `assembly/texts/texts.ts` exports. Pointers are byte offsets into `memory`. */
interface TextsExports {
  memory: WasmMemory;
  start(maxLineBytes: number, asTheyAre: boolean): void;
  fieldAt(length: number): number;
  pieceAt(length: number): number;
  addPiece(length: number): void;
  end(): void;
  next(): number;
  foundStart(): number;
  foundBytes(): number;
  lineBytes(): number;
  lineCount(): number;
}

/** What `next` answers, as in the module. */
const noLine = 0;
const plainLine = 1;
const otherLine = 2;

/** A longer line does not fit the module's memory, in which no buffer may take a gigabyte. */
const maxLineLimit = 2 ** 30 - 2 ** 20;

/** A line of a stream that is not empty, 1-based; bytes are valid until the next piece is pushed. */
export type FoundLine = { number: number } & (
  | { text: Uint8Array }
  /** Its text is still to be found. */
  | { line: Uint8Array }
  /** It is longer than the limit. */
  | { length: number }
);

const instantiate = wasmModule<TextsExports>("texts", "the line is too long for the memory there is");

/**
 * Cuts a stream of bytes into lines and finds the text of those that are plainly objects of strings: the host of
 * `assembly/texts/texts.ts`, in which all of the work is done. It keeps no more than a line within the limit and the piece in hand.
 */
export class TextFinder {
  readonly #wasm = instantiate();

  /** Lines that have ended. */
  get lines(): number {
    return this.#wasm.lineCount();
  }

  /**
   * Begins a new stream.
   *
   * @param textField name of the field that holds the text; undefined for lines that are no JSON, which are given out as they are
   */
  start(maxLineBytes: number, textField: string | undefined): void {
    const name = Buffer.from(textField ?? "");
    this.#wasm.start(Math.min(maxLineBytes, maxLineLimit), textField === undefined);
    new Uint8Array(this.#wasm.memory.buffer, this.#wasm.fieldAt(name.length) >>> 0, name.length).set(name);
  }

  /** Gives out the lines that end in `piece`. */
  push(piece: Uint8Array): Generator<FoundLine, void> {
    const wasm = this.#wasm;
    // The module's addresses come as signed numbers.
    const at = wasm.pieceAt(piece.length) >>> 0;
    new Uint8Array(wasm.memory.buffer, at, piece.length).set(piece);
    wasm.addPiece(piece.length);
    return this.#found();
  }

  /** Gives out the last line, where the stream does not end with a newline. */
  end(): Generator<FoundLine, void> {
    this.#wasm.end();
    return this.#found();
  }

  *#found(): Generator<FoundLine, void> {
    const wasm = this.#wasm;
    for (let kind = wasm.next(); kind !== noLine; kind = wasm.next()) {
      const number = wasm.lineCount();
      if (kind !== plainLine && kind !== otherLine) {
        yield { number, length: wasm.lineBytes() };
      } else {
        const bytes = new Uint8Array(wasm.memory.buffer, wasm.foundStart() >>> 0, wasm.foundBytes());
        yield kind === plainLine ? { number, text: bytes } : { number, line: bytes };
      }
    }
  }
}
