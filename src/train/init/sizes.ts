import type { RunConfig } from "../config/runConfig.js";

/** A model and its batch, as `mswitch init` proposes them. */
export interface RunSize {
  /** What a reader calls it. */
  title: string;
  model: Omit<RunConfig["model"], "switch">;
  /** Of the Switch layers, beside the number of experts. */
  sparse: Omit<NonNullable<RunConfig["model"]["switch"]>, "experts">;
  batchSize: number;
  inputLength: number;
}

/** Heads of 64 and a start for reading the source: what ended the plateau of small models early (docs/results.md). */
const start = { scheme: "t5", matchedCrossAttention: 1, encoderLocality: 0.5 } as const;
const smallSparse = { every: 1, group: "batch", jitter: 0 } as const;
const paperStart = { scheme: "truncated-normal", scale: 0.1 } as const;

function small(width: number, layers: number): RunSize["model"] {
  const shape = { dModel: width, dFf: 2 * width, heads: width / 64, dKv: 64 };
  return { preset: "tiny", ...shape, encoderLayers: layers, decoderLayers: layers, init: start };
}

/** From small to large. About 10,000 positions a step, those of a GPU's sizes more: with them, and inputs of 32, the plateau was measured. */
export const runSizes: readonly RunSize[] = [
  { title: "64 wide, 2 + 2 layers", model: small(64, 2), sparse: smallSparse, batchSize: 250, inputLength: 32 },
  { title: "128 wide, 4 + 4 layers", model: small(128, 4), sparse: smallSparse, batchSize: 250, inputLength: 32 },
  { title: "256 wide, 4 + 4 layers", model: small(256, 4), sparse: smallSparse, batchSize: 64, inputLength: 128 },
  {
    title: "mT5-Small",
    model: { preset: "mt5-small", init: paperStart },
    sparse: {},
    batchSize: 128,
    inputLength: 256,
  },
  {
    title: "mT5-Base",
    model: { preset: "mt5-base", init: paperStart },
    sparse: {},
    batchSize: 128,
    inputLength: 512,
  },
];
