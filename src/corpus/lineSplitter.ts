const newline = 0x0a;

/** A line of a stream, without its newline. */
export interface Line {
  /** 1-based. */
  number: number;
  /** Length in bytes. */
  length: number;
  /** The line, valid until the next call of the splitter; absent where it is longer than the limit. */
  bytes: Uint8Array | undefined;
}

/** Cuts a stream of bytes into lines, keeping no more than `maxLineBytes` and the piece in hand. */
export class LineSplitter {
  readonly #maxLineBytes: number;
  #lines = 0;
  /** The beginning of a line whose end has not come yet; empty once it has outgrown the limit. */
  #head: Uint8Array[] = [];
  #headLength = 0;

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** Number of lines given out. */
  get lines(): number {
    return this.#lines;
  }

  /** The lines that end in `piece`. */
  push(piece: Uint8Array): Line[] {
    const lines: Line[] = [];
    let start = 0;
    for (let end = piece.indexOf(newline); end >= 0; end = piece.indexOf(newline, start)) {
      lines.push(this.#finish(piece.subarray(start, end)));
      start = end + 1;
    }
    if (start < piece.length) this.#keep(piece.subarray(start));
    return lines;
  }

  /** The last line, where the stream does not end with a newline. */
  end(): Line[] {
    return this.#headLength > 0 ? [this.#finish(new Uint8Array(0))] : [];
  }

  #keep(part: Uint8Array): void {
    this.#headLength += part.length;
    if (this.#headLength > this.#maxLineBytes) this.#head = [];
    else this.#head.push(part);
  }

  #finish(tail: Uint8Array): Line {
    const length = this.#headLength + tail.length;
    let bytes: Uint8Array | undefined;
    if (length <= this.#maxLineBytes) {
      bytes = this.#headLength === 0 ? tail : Buffer.concat([...this.#head, tail], length);
    }
    this.#head = [];
    this.#headLength = 0;
    this.#lines++;
    return { number: this.#lines, length, bytes };
  }
}
