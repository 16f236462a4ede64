const newline = 0x0a;

/**
 * Takes a line of a stream, without its newline.
 *
 * @param line valid until the next call of the splitter; undefined where it is longer than the limit
 * @param number 1-based
 * @param length in bytes
 */
export type TakeLine = (line: Uint8Array | undefined, number: number, length: number) => void;

/** Cuts a stream of bytes into lines, keeping no more than `maxLineBytes` and the piece in hand. Empty lines only count. */
export class LineSplitter {
  readonly #maxLineBytes: number;
  readonly #take: TakeLine;
  #lines = 0;
  /** The beginning of a line whose end has not come yet; nothing once it has outgrown the limit. */
  #head: Uint8Array[] = [];
  #headLength = 0;

  constructor(maxLineBytes: number, take: TakeLine) {
    this.#maxLineBytes = maxLineBytes;
    this.#take = take;
  }

  /** Number of lines that have ended. */
  get lines(): number {
    return this.#lines;
  }

  /** Gives out the lines that end in `piece`. */
  push(piece: Uint8Array): void {
    let start = 0;
    for (let end = piece.indexOf(newline); end >= 0; end = piece.indexOf(newline, start)) {
      this.#lines++;
      if (end > start || this.#headLength > 0) this.#finish(piece.subarray(start, end));
      start = end + 1;
    }
    if (start < piece.length) this.#keep(piece.subarray(start));
  }

  /** Gives out the last line, where the stream does not end with a newline. */
  end(): void {
    if (this.#headLength === 0) return;
    this.#lines++;
    this.#finish(new Uint8Array(0));
  }

  #keep(part: Uint8Array): void {
    this.#headLength += part.length;
    if (this.#headLength > this.#maxLineBytes) this.#head = [];
    else this.#head.push(part);
  }

  #finish(tail: Uint8Array): void {
    const length = this.#headLength + tail.length;
    let line: Uint8Array | undefined;
    if (length <= this.#maxLineBytes) {
      line = this.#headLength === 0 ? tail : Buffer.concat([...this.#head, tail], length);
    }
    this.#head = [];
    this.#headLength = 0;
    this.#take(line, this.#lines, length);
  }
}
