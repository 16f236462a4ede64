/** What a parameter belongs to; every parameter belongs to one. */
export type ParameterKind =
  | "embeddings"
  | "attention"
  | "relativePositions"
  | "feedForward"
  | "experts"
  | "router"
  | "norms";

/** The kind of a parameter by its name (see `Parameters`). */
export function parameterKind(name: string): ParameterKind {
  if (/(^|\.)(shared|embed_tokens|lm_head)\.weight$/.test(name)) return "embeddings";
  if (name.endsWith(".relative_attention_bias.weight")) return "relativePositions";
  if (name.includes(".router.")) return "router";
  if (name.includes(".experts.")) return "experts";
  if (name.includes("layer_norm.")) return "norms";
  return /\.(SelfAttention|EncDecAttention)\./.test(name) ? "attention" : "feedForward";
}

/** Whether Muon updates a parameter: hidden matrices, each expert one; AdamW has all else. */
export function hasMuon(name: string, rank: number): boolean {
  return rank > 1 && ["attention", "feedForward", "experts"].includes(parameterKind(name));
}
