// What is used of `sentencepiece-js`, which comes without types.
declare module "sentencepiece-js" {
  export class SentencePieceProcessor {
    load(path: string): Promise<void>;
    /** The binding takes UTF-8 bytes as well as strings. */
    encodeIds(text: string | Uint8Array): number[];
    decodeIds(ids: number[]): string;
  }
}
