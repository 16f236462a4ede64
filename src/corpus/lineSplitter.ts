const newline = 0x0a;

/**
 * Takes a line of a stream, without its newline.
 *
 * @param line valid until the end of the next `push`; undefined where it is longer than the limit
 * @param number 1-based
 * @param length in bytes
 */
export type TakeLine = (line: Uint8Array | undefined, number: number, length: number) => void;

/** Cuts a stream of bytes into lines, keeping no more than `maxLineBytes` and the piece in hand. Empty lines only count. */
export class LineSplitter {
  readonly #maxLineBytes: number;
  readonly #take: TakeLine;
  #lines = 0;
  /** Holds the beginning of a line whose end has not come yet, of as many bytes, as long as it is within the limit. */
  #head = Buffer.alloc(0);
  #headLength = 0;
  /** The head before, in which a line may lie that was given out: the two take turns. */
  #otherHead = Buffer.alloc(0);

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
      if (this.#headLength > 0) this.#finish(piece.subarray(start, end));
      else if (end > start) this.#give(piece.subarray(start, end), end - start);
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
    const kept = this.#headLength;
    const length = kept + part.length;
    this.#headLength = length;
    if (length > this.#maxLineBytes) return;
    if (length > this.#head.length) {
      const wider = Buffer.allocUnsafeSlow(Math.min(Math.max(2 * length, 2 ** 16), this.#maxLineBytes));
      wider.set(this.#head.subarray(0, kept));
      this.#head = wider;
    }
    this.#head.set(part, kept);
  }

  #finish(tail: Uint8Array): void {
    this.#keep(tail);
    const length = this.#headLength;
    const head = this.#head;
    this.#head = this.#otherHead;
    this.#otherHead = head;
    this.#headLength = 0;
    this.#give(head.subarray(0, length), length);
  }

  #give(line: Uint8Array, length: number): void {
    this.#take(length <= this.#maxLineBytes ? line : undefined, this.#lines, length);
  }
}
