import * as z from "zod";

const count = z.int().positive();

/** Bounds that no model of this kind comes near: a slip of the pen is named before anything is allocated. */
const maxExperts = 65_536;
const maxLayers = 1000;

/** The Switch layers of a model. */
export const switchConfigSchema = z.strictObject({
  experts: count.max(maxExperts),
  every: count.describe(
    "Every how many feed-forward layers one is sparse; 2 makes layers 1, 3, 5, … sparse (layer mod every = every − 1).",
  ),
  capacity: z
    .union([
      z.strictObject({
        train: z.number().positive(),
        evaluation: z.union([z.number().positive(), z.literal("none")]),
      }),
      z.strictObject({ absolute: count }),
    ])
    .describe(
      "Factors of the balanced load that an expert takes, in evaluation also `none`: every token finds a place; or an absolute capacity per group (Hugging Face's `expert_capacity`).",
    ),
  group: z
    .union([z.enum(["sequence", "batch"]), z.strictObject({ tokens: count })])
    .describe(
      "Of which tokens a capacity is counted: one sequence (Hugging Face), a fixed number of tokens (T5X), or the whole batch.",
    ),
  jitter: z.number().min(0).lt(1).describe("Multiplies the router's input by U(1 − ε, 1 + ε) in training."),
  auxLossWeight: z.number().min(0).describe("α of the load-balancing loss, summed over layers."),
  zLossWeight: z.number().min(0).describe("Weight of the router z-loss (ST-MoE); 0 leaves it out."),
  ignorePadding: z.boolean().describe("Leave padding out of routing, capacity and balance."),
  expertDropout: z.number().min(0).lt(1).describe("Dropout on the expert's intermediate activation (fine-tuning)."),
  // Without defaults: what has none of them is as it was before they existed, checkpoints and runs included.
  topK: count
    .optional()
    .describe("Experts of a token: absent or 1 is Switch, 2 the paper's MoE baseline, whose gates add up to 1."),
  sharedExpert: z
    .boolean()
    .optional()
    .describe(
      "Beside its experts every token takes a feed-forward layer of their shape that all share, without a gate (DeepSeekMoE, arXiv 2401.06066).",
    ),
  frozen: z
    .boolean()
    .optional()
    .describe(
      "The router stays as it was drawn: tells a router that does not learn from a capacity that is not wanted.",
    ),
  inputDropout: z
    .number()
    .min(0)
    .lt(1)
    .optional()
    .describe("Dropout on the router's input in training, another way to explore (Table 11); usually with jitter 0."),
  sample: z
    .boolean()
    .optional()
    .describe(
      "In training a token's expert is drawn from the router's softmax instead of being its best (Table 11); evaluation takes the best.",
    ),
  balance: z
    .enum(["group", "batch"])
    .optional()
    .describe("Over what the balance loss is taken: each routing group (absent), or all tokens of a step."),
});
export type SwitchConfig = z.infer<typeof switchConfigSchema>;
export type RoutingGroup = SwitchConfig["group"];

/** An initialization's start for reading the source: what ends the plateau of small models early. */
const initShared = {
  matchedCrossAttention: z
    .number()
    .positive()
    .optional()
    .describe(
      "q of cross-attention starts as k times this (and dKv^−½), so that a target position attends to the source positions that hold its own token, the sentinel of its span above all. Absent: q is drawn, as in T5.",
    ),
  encoderLocality: z
    .number()
    .positive()
    .optional()
    .describe(
      "The encoder's position bias starts at −slope · distance, up to distance 12, with slopes from 1/heads of this to all of it: what stands beside a token is in its encoding from the start. Absent: drawn, as in T5.",
    ),
  orthogonalAttention: z
    .boolean()
    .optional()
    .describe(
      "Attention's matrices q, k, v and o start orthogonal (Saxe et al. 2014, arXiv 1312.6120), as large in the mean as they would be drawn: attention then passes on all that it reads, whatever the seed. Absent or false: drawn, as in T5.",
    ),
};

/** Architecture of an mT5 or of its Switch twin: every key known, every number in its range. Derived shapes are not stored. */
export const modelConfigSchema = z.strictObject({
  vocabSize: count,
  dModel: count,
  dKv: count,
  dFf: count,
  heads: count,
  encoderLayers: count.max(maxLayers),
  decoderLayers: count.max(maxLayers),
  feedForward: z.enum(["gated-gelu", "relu"]),
  tieEmbeddings: z
    .boolean()
    .describe("The output layer is the embedding, on states scaled by dModel^−½; false (mT5): a matrix of its own."),
  separateInputEmbeddings: z
    .boolean()
    .optional()
    .describe(
      "Encoder and decoder each have an input embedding of their own, as Transformers gives an untied Switch; absent or false: they share one, as mT5 does.",
    ),
  relativeBuckets: count.multipleOf(4),
  relativeMaxDistance: count,
  relativeBiasPerLayer: z
    .boolean()
    .optional()
    .describe(
      "Self-attention of each block has a table of relative positions of its own, as in umT5; absent or false: that of its stack's first block, as in T5 and mT5.",
    ),
  layerNormEpsilon: z.number().positive(),
  dropout: z.number().min(0).lt(1),
  init: z
    .discriminatedUnion("scheme", [
      z.strictObject({ scheme: z.literal("truncated-normal"), scale: z.number().positive(), ...initShared }),
      z.strictObject({ scheme: z.literal("t5"), ...initShared }),
    ])
    .describe("σ = sqrt(scale / fan_in) of a truncated normal; 't5' is mT5's own initialization."),
  precision: z.enum(["float32", "bfloat16", "selective"]),
  switch: switchConfigSchema.nullable().describe("null: the dense mT5."),
});
export type ModelConfig = z.infer<typeof modelConfigSchema>;

/** Whether a layer of a stack is sparse: layer mod every = every − 1 (T5X; 1, 3, 5, … for every = 2). */
export function isSparse(config: ModelConfig, layer: number): boolean {
  return config.switch !== null && layer % config.switch.every === config.switch.every - 1;
}
