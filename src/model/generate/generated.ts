/** What T5's decoder starts from: the padding id. */
export const startId = 0;

/** What was written for one source. */
export interface Generated {
  /** Token ids, without the start; the end of sequence is the last where the text ended within the limit. */
  ids: Int32Array;
  /** With beams: summed log probability over length^lengthPenalty. */
  score?: number;
}

export interface GenerateLimits {
  /** Most tokens of one text, the end of sequence included. */
  maxNewTokens: number;
  /** Ends a text. */
  eosId: number;
  /** Looked at before every token: its reason is thrown. */
  signal?: AbortSignal;
}
