import { usageError } from "../base/errors.js";
import { nearest } from "../base/nearest.js";
import type { ModelConfig, SwitchConfig } from "./config.js";

/** What every T5.1.1 has in common. */
const t5: Omit<
  ModelConfig,
  "vocabSize" | "dModel" | "dFf" | "heads" | "encoderLayers" | "decoderLayers" | "tieEmbeddings"
> = {
  dKv: 64,
  feedForward: "gated-gelu",
  relativeBuckets: 32,
  relativeMaxDistance: 128,
  layerNormEpsilon: 1e-6,
  dropout: 0,
  init: { scheme: "t5" },
  precision: "float32",
  switch: null,
};

/**
 * Switch's own settings where the paper or its code gives them: α §2.2, jitter Table 11, capacity factor in training of Mesh and T5X.
 * In evaluation those have 2; here no token is dropped (decision 24).
 */
const switchDefaults: Omit<SwitchConfig, "experts"> = {
  every: 2,
  capacity: { train: 1.25, evaluation: "none" },
  group: { tokens: 4096 },
  jitter: 0.01,
  auxLossWeight: 0.01,
  zLossWeight: 0,
  ignorePadding: true,
  expertDropout: 0,
};

/**
 * The Switch twin of a dense model: the same, with every other feed-forward layer replaced by experts of its shape, and the
 * paper's initialization at a tenth of the scale (§2.4), which is for the stability of large models; a dense model with a start for
 * reading its source keeps its own, since the tenth takes that away. FLOPs agree but for the router.
 */
export function switchTwin(dense: ModelConfig, options: Partial<SwitchConfig> & { experts: number }): ModelConfig {
  const init: ModelConfig["init"] =
    dense.init.matchedCrossAttention === undefined ? { scheme: "truncated-normal", scale: 0.1 } : dense.init;
  return { ...dense, init, switch: { ...switchDefaults, ...options } };
}

/** mT5 (Xue et al. 2021): vocabulary of 250,000 pieces and 100 sentinels, rounded up to a multiple of 128; untied. */
function mT5(dModel: number, dFf: number, heads: number, layers: number): ModelConfig {
  const vocab = { vocabSize: 250112, tieEmbeddings: false };
  return { ...t5, ...vocab, dModel, dFf, heads, encoderLayers: layers, decoderLayers: layers };
}

/** The English models of the Switch paper (Table 9). Tied: its T5-Base has 223M parameters, untied it would have 248M. */
function english(dModel: number, dFf: number, heads: number, layers: number): ModelConfig {
  const vocab = { vocabSize: 32128, tieEmbeddings: true };
  return { ...t5, ...vocab, dModel, dFf, heads, encoderLayers: layers, decoderLayers: layers };
}

/**
 * Small enough to learn something in minutes on one core. One head of T5's own size, and an initialization that begins with a way to
 * the source: with 4 heads of 16 and T5's the decoder does not read its source for the first 2,000 steps or more (docs/results.md).
 */
const tiny: ModelConfig = {
  ...mT5(64, 128, 1, 2),
  vocabSize: 8192,
  init: { scheme: "t5", matchedCrossAttention: 1, encoderLocality: 0.5, orthogonalAttention: true },
};

const presets = {
  tiny,
  "tiny-switch": switchTwin(tiny, { experts: 8, group: "batch" }),
  "mt5-small": mT5(512, 1024, 6, 8),
  "mt5-base": mT5(768, 2048, 12, 12),
  "mt5-large": mT5(1024, 2816, 16, 24),
  "mt5-xl": mT5(2048, 5120, 32, 24),
  "mt5-xxl": mT5(4096, 10240, 64, 24),
  // FLOP-matched to mT5-Base (§4.3). Its number of experts is not published; 128 is that of Switch-Base.
  "mswitch-base": switchTwin(mT5(768, 2048, 12, 12), { experts: 128 }),
  "t5-base": english(768, 2048, 12, 12),
  "t5-large": english(1024, 2816, 16, 24),
  "t5-xxl": english(4096, 10240, 64, 24),
  "switch-base": switchTwin(english(768, 2048, 12, 12), { experts: 128 }),
  "switch-large": switchTwin(english(1024, 2816, 16, 24), { experts: 128 }),
  // Table 9 prints 64 experts and 395B parameters, which only 128 experts (its released configuration) give.
  "switch-xxl": switchTwin(english(4096, 10240, 64, 24), { experts: 128 }),
  "switch-c": {
    ...switchTwin(english(2080, 6144, 32, 15), { experts: 2048, every: 1, capacity: { train: 1, evaluation: "none" } }),
    feedForward: "relu",
  },
} satisfies Record<string, ModelConfig>;

export type PresetName = keyof typeof presets;

export const presetNames = Object.keys(presets) as PresetName[];

/** A published or shipped configuration by name. */
export function preset(name: string): ModelConfig {
  const known = presetNames.find((candidate) => candidate === name);
  if (known) return structuredClone(presets[known]);
  const near = nearest(name, presetNames);
  throw usageError(`unknown model preset "${name}"`, {
    code: "unknown-preset",
    why: `there are ${presetNames.join(", ")}`,
    ...(near ? { hint: near } : {}),
  });
}
