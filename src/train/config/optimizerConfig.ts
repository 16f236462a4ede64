import * as z from "zod";

const size = z.int().min(1);
const positive = z.number().positive();
const fraction = z.number().min(0).max(1);
const warmupFrom = fraction
  .optional()
  .describe("The rate rises along a line from this part of itself over the warm-up.");
const rampDownSteps = z.int().min(0).default(0).describe("Last steps, in which the rate falls along a line to 0.");
const base = positive;
const warmupSteps = z.int().min(0).default(0);
const final = fraction
  .default(0)
  .describe("Part of the base that the rate falls to: the step after the last one would have it.");
const learningRateSchema = z.discriminatedUnion("schedule", [
  z.strictObject({
    schedule: z.literal("inverse-sqrt"),
    base: positive.default(1).describe("The rate is base/√max(step, warmupSteps)."),
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
const learningRateFactorsSchema = z
  .strictObject({
    embeddings: factor.describe("Input tables and output layer."),
    attention: factor,
    relativePositions: factor,
    feedForward: factor.describe("Dense feed-forward layers."),
    experts: factor,
    router: factor,
    norms: factor,
  })
  .describe("What the learning rate is multiplied by, by kind of parameter; 0 keeps parameters as they are.");

// Keys without a default are absent from the files of runs that began before they existed, and from their identity.
const forAll = {
  clipNorm: positive
    .optional()
    .describe("Gradients are scaled down where their norm, over all parameters, is above this."),
  learningRateFactors: learningRateFactorsSchema.optional(),
};
const decay = z.number().min(0).lt(1);
const adamwKeys = {
  beta1: decay.default(0.9),
  beta2: decay.default(0.999),
  epsilon: positive.default(1e-8),
  weightDecay: z.number().min(0).default(0).describe("Of matrices and tables; norms keep their size."),
  scaleByParameterRms: z
    .boolean()
    .default(false)
    .describe("Steps in proportion to the parameter's RMS, as Adafactor's are (nanoT5's AdamWScale)."),
};
const learningRate = learningRateSchema;
export const optimizerSchema = z.discriminatedUnion("algorithm", [
  z.strictObject({
    algorithm: z.literal("adafactor").optional().default("adafactor"),
    minFactoredSize: size.default(128).describe("Matrices with a side below this keep whole second moments."),
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
    scale: z
      .enum(["match-rms", "original"])
      .default("match-rms")
      .describe("What a matrix's learning rate is multiplied by: 0.2·√max(rows, columns), or √max(1, rows/columns)."),
    ...adamwKeys,
    ...forAll,
  }),
]);
export type OptimizerConfig = z.infer<typeof optimizerSchema>;
