import * as z from "zod";
import type { ModelConfig } from "./config.js";

const count = z.int().positive();

const switchSchema = z.strictObject({
  experts: count,
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
export const modelConfigSchema: z.ZodType<ModelConfig> = z.strictObject({
  vocabSize: count,
  dModel: count,
  dKv: count,
  dFf: count,
  heads: count,
  encoderLayers: count,
  decoderLayers: count,
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
  switch: switchSchema.nullable(),
});
