import { stringify } from "yaml";
import type { MixingPreview } from "../analysis/datasetFacts.js";
import type { DatasetManifest } from "../dataset/format/manifest.js";
import type { Mixing } from "./batch.js";
import { mixingProbabilities } from "./mixing.js";

/** Budgets as multiples of the dataset's training tokens. */
const multiples = [1, 4, 16];

/** How each strategy would share one, four and sixteen times the dataset's training tokens among its languages. */
export function mixingPreview(manifest: DatasetManifest): MixingPreview {
  const languages = Object.entries(manifest.languages).flatMap(([code, { train }]) =>
    train && train.tokens > 0 ? [{ code, documents: train.documents, tokens: train.tokens }] : [],
  );
  const total = languages.reduce((sum, { tokens }) => sum + tokens, 0);
  const budgets = multiples.map((multiple) => multiple * total);
  const strategies: { label: string; mixing: (budgetTokens: number) => Mixing }[] = [
    { label: "temperature, α = 1/3.3: mT5's", mixing: () => ({ strategy: "temperature" }) },
    { label: "temperature, α = 0.5", mixing: () => ({ strategy: "temperature", alpha: 0.5 }) },
    { label: "temperature, α = 0.7", mixing: () => ({ strategy: "temperature", alpha: 0.7 }) },
    { label: "proportional: all equally often", mixing: () => ({ strategy: "proportional" }) },
    { label: "uniform: the same for each", mixing: () => ({ strategy: "uniform" }) },
    {
      label: "UniMax, at most 4 epochs",
      mixing: (budgetTokens) => ({ strategy: "unimax", maxEpochs: 4, budgetTokens }),
    },
  ];
  return {
    codes: languages.map(({ code }) => code),
    documents: languages.map(({ documents }) => documents),
    tokens: languages.map(({ tokens }) => tokens),
    budgets,
    strategies: strategies.map(({ label, mixing }) => ({
      label,
      yaml: budgets.map((budget) => stringify(mixing(budget), { collectionStyle: "flow" }).trim()),
      shares:
        languages.length === 0
          ? []
          : budgets.map((budget) => Array.from(mixingProbabilities(mixing(budget), languages))),
    })),
  };
}
