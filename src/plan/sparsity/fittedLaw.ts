import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import { lawRangeSchema, scalingLawSchema } from "../../analysis/scalingLaw.js";
import { packageRoot } from "../../base/builtCode.js";

/** A scaling law fitted to runs of this program, as `scripts/scalingLaw.mjs` writes it. */
export const fittedLawSchema = z.strictObject({
  /** Files of eval/results. */
  studies: z.array(z.string()),
  runs: z.int().positive(),
  points: z.int().positive(),
  law: scalingLawSchema,
  /** Root of the mean squared difference of fitted and measured losses, nats. */
  error: z.number(),
  /** The same of runs that were not fitted. */
  unseen: z.strictObject({ runs: z.int(), points: z.int(), error: z.number() }).nullable(),
  range: lawRangeSchema,
  /** Fits to runs drawn with replacement. */
  resampled: z.array(scalingLawSchema),
});
export type FittedLaw = z.infer<typeof fittedLawSchema>;

/** Where the fit of the runs in docs/results.md lies. */
export const fittedLawFile = fileURLToPath(new URL("data/scaling-law.json", packageRoot));

/** The law that ships with the package; undefined where none was fitted. */
export function readFittedLaw(file = fittedLawFile): FittedLaw | undefined {
  return existsSync(file) ? fittedLawSchema.parse(JSON.parse(readFileSync(file, "utf8"))) : undefined;
}
