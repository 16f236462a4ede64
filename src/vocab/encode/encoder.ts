/** Turns text into token ids. One instance per thread: it keeps buffers and caches. */
export interface Encoder {
  /**
   * Encodes one document exactly as SentencePiece's `EncodeAsIds` does.
   *
   * @param text UTF-8 bytes
   * @returns the ids; a view that is valid until the next call
   */
  encode(text: Uint8Array): Uint32Array;
}

/** Turns token ids back into text. */
export interface Decoder {
  /** Decodes as SentencePiece's `DecodeIds` does; an id without a piece (a sentinel above the model) is written as `<extra_id_K>`. */
  decode(ids: Iterable<number>): string;
}
