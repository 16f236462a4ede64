/** Of which tokens a capacity is counted: one sequence (Hugging Face), a fixed number of tokens (T5X), or the whole batch. */
export type RoutingGroup = "sequence" | "batch" | { tokens: number };

/** The Switch layers of a model. */
export interface SwitchConfig {
  experts: number;
  /** Every how many feed-forward layers one is sparse; 2 makes layers 1, 3, 5, … sparse (layer mod every = every − 1). */
  every: number;
  /** Factors of the balanced load that an expert takes; or an absolute capacity per group (Hugging Face's `expert_capacity`). */
  capacity: { train: number; evaluation: number } | { absolute: number };
  group: RoutingGroup;
  /** Multiplies the router's input by U(1 − ε, 1 + ε) in training. */
  jitter: number;
  /** α of the load-balancing loss, summed over layers. */
  auxLossWeight: number;
  /** Weight of the router z-loss (ST-MoE); 0 leaves it out. */
  zLossWeight: number;
  /** Leave padding out of routing, capacity and balance. */
  ignorePadding: boolean;
  /** Dropout on the expert's intermediate activation (fine-tuning). */
  expertDropout: number;
}

/** Architecture of an mT5 or of its Switch twin. Numbers are exact, derived shapes are not stored. */
export interface ModelConfig {
  vocabSize: number;
  dModel: number;
  dKv: number;
  dFf: number;
  heads: number;
  encoderLayers: number;
  decoderLayers: number;
  feedForward: "gated-gelu" | "relu";
  /** The output layer is the embedding, on states scaled by dModel^−½; false (mT5): a matrix of its own. */
  tieEmbeddings: boolean;
  /**
   * Encoder and decoder each have an input embedding of their own, as Transformers gives an untied Switch; absent or false: they
   * share one, as mT5 does.
   */
  separateInputEmbeddings?: boolean;
  relativeBuckets: number;
  relativeMaxDistance: number;
  layerNormEpsilon: number;
  dropout: number;
  /** σ = sqrt(scale / fan_in) of a truncated normal; "t5" is mT5's own initialization. */
  init: { scheme: "truncated-normal"; scale: number } | { scheme: "t5" };
  precision: "float32" | "bfloat16" | "selective";
  /** null: the dense mT5. */
  switch: SwitchConfig | null;
}

/** Whether a layer of a stack is sparse: layer mod every = every − 1 (T5X; 1, 3, 5, … for every = 2). */
export function isSparse(config: ModelConfig, layer: number): boolean {
  return config.switch !== null && layer % config.switch.every === config.switch.every - 1;
}
