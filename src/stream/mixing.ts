import { usageError } from "../base/errors.js";
import type { Mixing } from "./batch.js";

/** mT5's published percentages are pages^(1/3.3), although its text says 0.3. */
const defaultAlpha = 1 / 3.3;

/** Size of one language's training data. */
export interface LanguageSize {
  documents: number;
  tokens: number;
}

/**
 * Sampling probability of each language, same order, summing to 1.
 *
 * @throws usageError where the strategy's numbers make no sense
 */
export function mixingProbabilities(mixing: Mixing, sizes: readonly LanguageSize[]): Float64Array {
  const weights = mixingWeights(mixing, sizes);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return Float64Array.from(weights, (weight) => weight / total);
}

function mixingWeights(mixing: Mixing, sizes: readonly LanguageSize[]): number[] {
  switch (mixing.strategy) {
    case "temperature": {
      const { alpha = defaultAlpha } = mixing;
      requireNumber("mixing.alpha", alpha, alpha >= 0, "0 is uniform, 1 as many examples as documents");
      return sizes.map(({ documents }) => documents ** alpha);
    }
    case "proportional":
      return sizes.map(({ tokens }) => tokens);
    case "uniform":
      return sizes.map(() => 1);
    case "unimax": {
      const { maxEpochs = 1, budgetTokens } = mixing;
      requireNumber("mixing.maxEpochs", maxEpochs, maxEpochs > 0, "it must be above 0");
      requireNumber("mixing.budgetTokens", budgetTokens, budgetTokens > 0, "it must be above 0");
      return unimaxTokens(sizes, budgetTokens, maxEpochs);
    }
  }
}

/**
 * UniMax (Chung et al. 2023, arXiv 2304.09151, Algorithm 1), in tokens where the paper counts characters: from the smallest
 * language up, each gets an even share of what is left of the budget, or `maxEpochs` times its size where that is less.
 */
function unimaxTokens(sizes: readonly LanguageSize[], budgetTokens: number, maxEpochs: number): number[] {
  const share = new Array<number>(sizes.length).fill(0);
  const bySize = sizes.map((_, language) => language).sort((a, b) => sizes[a].tokens - sizes[b].tokens);
  let budget = budgetTokens;
  for (const [done, language] of bySize.entries()) {
    share[language] = Math.min(budget / (sizes.length - done), sizes[language].tokens * maxEpochs);
    budget -= share[language];
  }
  return share;
}

function requireNumber(name: string, value: number, inRange: boolean, why: string): void {
  if (!Number.isFinite(value) || !inRange) throw usageError(`${name} is ${value}`, { code: "mixing-invalid", why });
}
