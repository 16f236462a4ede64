import * as z from "zod";

const size = z.int().min(1);
const positive = z.number().positive();
const fraction = z.number().min(0).max(1);
/** The rate rises linearly from this part of itself over the warm-up. */
const warmupFrom = fraction.optional();
const rampDownSteps = z.int().min(0).default(0);
const base = positive;
const warmupSteps = z.int().min(0).default(0);
/** Part of the base that is left at the last step. */
const final = fraction.default(0);
const learningRateSchema = z.discriminatedUnion("schedule", [
  z.strictObject({
    schedule: z.literal("inverse-sqrt"),
    base: positive.default(1),
    warmupSteps: size.default(10_000),
    warmupFrom,
    rampDownSteps,
  }),
  z.strictObject({
    schedule: z.literal("constant"),
    base,
    warmupSteps: z.int().min(0).optional(),
    warmupFrom,
    rampDownSteps,
  }),
  z.strictObject({ schedule: z.literal("cosine"), base, warmupSteps, warmupFrom, final }),
  z.strictObject({ schedule: z.literal("linear"), base, warmupSteps, warmupFrom, final }),
  z.strictObject({
    schedule: z.literal("warmup-stable-decay"),
    base,
    warmupSteps,
    warmupFrom,
    decaySteps: size,
    final,
  }),
]);
export type LearningRate = z.infer<typeof learningRateSchema>;

const factor = z.number().min(0).optional();
/** What the learning rate is multiplied by, by kind of parameter; 1 where left out, 0 keeps parameters as they are. */
const learningRateFactorsSchema = z.strictObject({
  /** Input tables and output layer. */
  embeddings: factor,
  attention: factor,
  relativePositions: factor,
  /** Dense feed-forward layers. */
  feedForward: factor,
  experts: factor,
  router: factor,
  norms: factor,
});

// Keys without a default are absent from the files of runs that began before they existed, and from their identity.
const forAll = {
  /** Gradients are scaled down where their norm, over all parameters, is above this. */
  clipNorm: positive.optional(),
  learningRateFactors: learningRateFactorsSchema.optional(),
};
const decay = z.number().min(0).lt(1);
const adamwKeys = {
  beta1: decay.default(0.9),
  beta2: decay.default(0.999),
  epsilon: positive.default(1e-8),
  /** Of matrices and tables; norms keep their size. */
  weightDecay: z.number().min(0).default(0),
  /** Steps in proportion to the parameter's RMS, as Adafactor's are (nanoT5's AdamWScale). */
  scaleByParameterRms: z.boolean().default(false),
};
const learningRate = learningRateSchema;
export const optimizerSchema = z.discriminatedUnion("algorithm", [
  z.strictObject({
    algorithm: z.literal("adafactor").optional().default("adafactor"),
    minFactoredSize: size.default(128),
    learningRate: learningRate.prefault({ schedule: "inverse-sqrt" }),
    ...forAll,
  }),
  z.strictObject({ algorithm: z.literal("adamw"), learningRate, ...adamwKeys, ...forAll }),
  /** Muon for the matrices of attention, feed-forward layers and experts, AdamW with its own keys for all else. */
  z.strictObject({
    algorithm: z.literal("muon"),
    learningRate,
    momentum: decay.default(0.95),
    nesterov: z.boolean().default(true),
    /** What a matrix's learning rate is multiplied by: see `MuonOptions`. */
    scale: z.enum(["match-rms", "original"]).default("match-rms"),
    ...adamwKeys,
    ...forAll,
  }),
]);
export type OptimizerConfig = z.infer<typeof optimizerSchema>;
