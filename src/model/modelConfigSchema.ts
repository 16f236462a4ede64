import * as z from "zod";

const count = z.int().positive();

/** Bounds that no model of this kind comes near: a slip of the pen is named before anything is allocated. */
const mostExperts = 65_536;
const mostLayers = 1000;

export const switchConfigSchema = z.strictObject({
  experts: count.max(mostExperts),
  every: count,
  capacity: z.union([
    z.strictObject({ train: z.number().positive(), evaluation: z.number().positive() }),
    z.strictObject({ absolute: count }),
  ]),
  group: z.union([z.enum(["sequence", "batch"]), z.strictObject({ tokens: count })]),
  jitter: z.number().min(0).lt(1),
  auxLossWeight: z.number().min(0),
  zLossWeight: z.number().min(0),
  ignorePadding: z.boolean(),
  expertDropout: z.number().min(0).lt(1),
});

/** A ModelConfig that came from a file: every key known, every number in its range. */
export const modelConfigSchema = z.strictObject({
  vocabSize: count,
  dModel: count,
  dKv: count,
  dFf: count,
  heads: count,
  encoderLayers: count.max(mostLayers),
  decoderLayers: count.max(mostLayers),
  feedForward: z.enum(["gated-gelu", "relu"]),
  tieEmbeddings: z.boolean(),
  separateInputEmbeddings: z.boolean().optional(),
  relativeBuckets: count.multipleOf(4),
  relativeMaxDistance: count,
  layerNormEpsilon: z.number().positive(),
  dropout: z.number().min(0).lt(1),
  init: z.discriminatedUnion("scheme", [
    z.strictObject({ scheme: z.literal("truncated-normal"), scale: z.number().positive() }),
    z.strictObject({ scheme: z.literal("t5") }),
  ]),
  precision: z.enum(["float32", "bfloat16", "selective"]),
  switch: switchConfigSchema.nullable(),
});
