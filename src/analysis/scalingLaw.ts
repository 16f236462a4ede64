import { levenbergMarquardt } from "ml-levenberg-marquardt";
import * as z from "zod";
import { randomStream } from "../base/random.js";

/**
 * The joint scaling law of mixtures of experts of Ludziejewski et al. (arXiv 2502.05172, equations 5 to 7): the loss of a model with N active
 * parameters and E experts after D positions,
 *
 *   L(N, D, Ê) = a Ê^δ N^(α + γ ln Ê) + b Ê^ω D^(β + ζ ln Ê) + c,
 *   1/Ê = 1/(E − 1 + 1/(1/E_start − 1/E_max)) + 1/E_max,
 *
 * in nats a token. Its first term falls with experts, its second rises: experts see fewer tokens each. One expert is the dense model.
 */
export const scalingLawSchema = z.strictObject({
  a: z.number().positive(),
  alpha: z.number(),
  delta: z.number(),
  gamma: z.number(),
  b: z.number().positive(),
  beta: z.number(),
  omega: z.number(),
  zeta: z.number(),
  c: z.number(),
  expertStart: z.number().positive(),
  expertMax: z.number().positive(),
});
export type ScalingLaw = z.infer<typeof scalingLawSchema>;

/** The constants of arXiv 2502.05172, Tables 3 and 4: decoders of 79M to 2.7B active parameters with embeddings, 0.5B to 80B tokens, up to 32 experts. */
export const publishedLaw: ScalingLaw = {
  a: 35.91,
  alpha: -0.1889,
  delta: -0.2285,
  gamma: 0.0098,
  b: 35.98,
  beta: -0.1775,
  omega: 0.5529,
  zeta: -0.0259,
  c: 1.3637,
  expertStart: 2.0732,
  expertMax: 290.45,
};

/** Least and most of what a law was fitted to. */
export const lawRangeSchema = z.strictObject({
  activeParameters: z.tuple([z.number(), z.number()]),
  experts: z.tuple([z.number(), z.number()]),
  positions: z.tuple([z.number(), z.number()]),
});
export type LawRange = z.infer<typeof lawRangeSchema>;

/** Of `publishedLaw`; its active parameters count embeddings. */
export const publishedRange: LawRange = {
  activeParameters: [79e6, 2.7e9],
  experts: [1, 32],
  positions: [0.5e9, 80e9],
};

/** What a loss depends on. */
export interface LawSetting {
  /** Parameters that a token passes, besides embeddings. */
  activeParameters: number;
  /** Of each sparse layer; 1 is the dense model. */
  experts: number;
  /** Inputs and targets that were trained on. */
  positions: number;
}

/** A measured loss. Points of one run share what chance there is in it. */
export interface LawPoint extends LawSetting {
  run: string;
  /** Nats a target token. */
  loss: number;
}

/** Ê of the law. */
function effectiveExperts({ expertStart, expertMax }: ScalingLaw, experts: number): number {
  return 1 / (1 / (experts - 1 + 1 / (1 / expertStart - 1 / expertMax)) + 1 / expertMax);
}

/** Both falling terms, and the logarithms that they are made of. */
function termsOf(law: ScalingLaw, { activeParameters, experts, positions }: LawSetting) {
  const [logExperts, logSize, logPositions] = [effectiveExperts(law, experts), activeParameters, positions].map(
    Math.log,
  );
  return {
    ...{ logExperts, logSize, logPositions },
    size: law.a * Math.exp(law.delta * logExperts + (law.alpha + law.gamma * logExperts) * logSize),
    data: law.b * Math.exp(law.omega * logExperts + (law.beta + law.zeta * logExperts) * logPositions),
  };
}

/** Nats a token. */
export function lawLoss(law: ScalingLaw, setting: LawSetting): number {
  const { size, data } = termsOf(law, setting);
  return size + data + law.c;
}

/**
 * The step speed-up at equal batches: the positions of a dense run over those at which the sparse model is as good as it is at its end.
 *
 * @param setting the sparse model and the dense run's positions
 * @returns 0 where the sparse model never is
 */
export function lawSpeedup(law: ScalingLaw, setting: LawSetting): number {
  const target = lawLoss(law, { ...setting, experts: 1 });
  const isReached = (positions: number): boolean => lawLoss(law, { ...setting, positions }) <= target;
  const reached = firstWhere(isReached, 1, Number.MAX_VALUE);
  return reached === undefined ? 0 : setting.positions / reached;
}

/** The fewest positions of a dense run at which the sparse model reaches a speed-up; undefined where `most` are not enough. */
export function positionsForSpeedup(
  law: ScalingLaw,
  setting: Omit<LawSetting, "positions">,
  speedup: number,
  most = 1e15,
): number | undefined {
  return firstWhere((positions) => lawSpeedup(law, { ...setting, positions }) >= speedup, 1e5, most);
}

/** The least number between two at which what holds from some number on holds, by halving the interval of its logarithm. */
function firstWhere(holds: (x: number) => boolean, least: number, most: number): number | undefined {
  if (!holds(most)) return undefined;
  let [low, high] = [Math.log(least), Math.log(most)];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (holds(Math.exp(middle))) high = middle;
    else low = middle;
  }
  return Math.exp(high);
}

/** What a fit changes, in its order; factors by their logarithm, so that they stay positive and of one size with the exponents. */
const fitted = ["a", "alpha", "delta", "gamma", "b", "beta", "omega", "zeta", "c"] as const;
const isFactor = (key: (typeof fitted)[number]): boolean => key === "a" || key === "b";

/**
 * Fits the law to measured losses in least squares (Levenberg–Marquardt, from `start`), every point counted alike. E_start and E_max stay as they
 * are: a ladder of few numbers of experts does not determine them.
 *
 * @throws RangeError where there are fewer points than constants
 */
export function fitScalingLaw(points: readonly LawPoint[], start: ScalingLaw): ScalingLaw {
  if (points.length < fitted.length) throw new RangeError(`${points.length} points for ${fitted.length} constants`);
  const lawOf = (values: readonly number[]): ScalingLaw => ({
    ...start,
    ...Object.fromEntries(fitted.map((key, i) => [key, isFactor(key) ? Math.exp(values[i]) : values[i]])),
  });
  const { parameterValues } = levenbergMarquardt(
    { x: points.map((_, i) => i), y: points.map(({ loss }) => loss) },
    (values) => {
      const law = lawOf(values);
      return (i) => lawLoss(law, points[i]);
    },
    {
      jacobianFunction: (values) => {
        const law = lawOf(values);
        return (i) => {
          const { size, data, logExperts, logSize, logPositions } = termsOf(law, points[i]);
          const ofTerm = (term: number, log: number): number[] =>
            [1, log, logExperts, logExperts * log].map((x) => term * x);
          return [...ofTerm(size, logSize), ...ofTerm(data, logPositions), 1];
        };
      },
      initialValues: fitted.map((key) => (isFactor(key) ? Math.log(start[key]) : start[key])),
      damping: 1e-3,
      improvementThreshold: 0,
      errorTolerance: 1e-12,
      maxIterations: 60,
    },
  );
  return lawOf(parameterValues);
}

/**
 * Fits to runs drawn with replacement: the spread of what they say is the uncertainty of the fit.
 *
 * @returns `resamples` laws
 */
export function resampleLaws(
  points: readonly LawPoint[],
  law: ScalingLaw,
  { resamples, seed = 0 }: { resamples: number; seed?: number },
): ScalingLaw[] {
  const runs = [...new Set(points.map(({ run }) => run))];
  const random = randomStream(seed, "scaling-law");
  return Array.from({ length: resamples }, () => {
    const drawn = runs.flatMap(() => {
      const run = runs[random.integer(runs.length)];
      return points.filter((point) => point.run === run);
    });
    return fitScalingLaw(drawn, law);
  });
}

/** Root of the mean squared difference of measured and predicted losses, nats. */
export function lawError(law: ScalingLaw, points: readonly LawPoint[]): number {
  return Math.sqrt(points.reduce((sum, point) => sum + (lawLoss(law, point) - point.loss) ** 2, 0) / points.length);
}
