import { readFileSync } from "node:fs";
import * as z from "zod";
import { packageRoot } from "../../base/builtCode.js";
import { allLanguages } from "../../corpus/shards/languages.js";

const publishedSchema = z.object({
  source: z.string(),
  candidate: z.string(),
  baseline: z.string(),
  steps: z.int(),
  meanStepSpeedup: z.number(),
  shareFourfold: z.number(),
  tasks: z.int(),
  histogram: z.object({ bins: z.array(z.object({ low: z.number(), high: z.number(), count: z.int() })) }),
});

/** What the paper reports of its own runs: shown beside ours as a reference, never averaged with it. */
export interface Published extends z.infer<typeof publishedSchema> {
  figure7: { code: string; name: string; baseline: number; candidate: number }[];
}

/** The multilingual experiment of Switch Transformers, section 4.3. */
export function readPublished(): Published {
  const text = readFileSync(new URL("eval/published/switch-multilingual.json", packageRoot), "utf8");
  const figure7 = allLanguages().map(({ code, name, figure7 }) => ({
    code,
    name,
    baseline: figure7.mt5Base,
    candidate: figure7.mSwitchBase,
  }));
  return { ...publishedSchema.parse(JSON.parse(text)), figure7 };
}
