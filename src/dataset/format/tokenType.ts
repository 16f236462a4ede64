/** How token ids are stored: 16 bits where every row of the embedding can be named by them. */
export const tokenTypes = ["uint16", "uint32"] as const;
export type TokenType = (typeof tokenTypes)[number];

/** The narrowest type that holds every id of a vocabulary, its sentinels included. */
export function tokenTypeFor(embeddingRows: number): TokenType {
  return embeddingRows <= 2 ** 16 ? "uint16" : "uint32";
}
