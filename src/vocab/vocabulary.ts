/** What a model and a data stream need to know of a vocabulary. Plain data, safe to send to a worker. */
export interface Vocabulary {
  /** The `.model` file it was read from. */
  path: string;
  /** SHA-256 of the file. */
  fingerprint: string;
  /** Pieces in the model file. */
  size: number;
  /** Rows of the embedding: pieces and sentinels, rounded up to a multiple of 128 (mT5: 250112). */
  embeddingRows: number;
  padId: number;
  eosId: number;
  unkId: number;
  /** Ids of T5's sentinels, `<extra_id_0>` first (mT5: 250099, 250098, …). */
  sentinelIds: number[];
}
