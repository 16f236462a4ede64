import type { Estimate } from "../../analysis/bootstrap.js";
import { csv } from "../data/figureCsv.js";
import type { ReportData } from "../data/reportData.js";

const header = [
  "candidate",
  "code",
  "name",
  "task_of_language",
  "examples",
  "baseline_nlp",
  "candidate_nlp",
  "gain",
  "gain_low",
  "gain_high",
  ...["step", "time", "flops"].flatMap((measure) => [
    `${measure}_speedup`,
    `${measure}_speedup_low`,
    `${measure}_speedup_high`,
  ]),
  "bound",
  "matched_quality_of",
  "matched_quality",
  "baseline_step",
  "candidate_step",
  "baseline_epochs",
  "candidate_epochs",
  "train_tokens",
  "baseline_source_use",
  "candidate_source_use",
];

/** One line a candidate and language (RFC 4180), numbers in full; an empty cell is unknown. */
export function reportCsv({ baseline, candidates, languages }: ReportData): string {
  const lines = candidates.flatMap((candidate) =>
    languages.map(({ code, name, main, trainTokens }, i) => {
      const { examples, baselineFinal, candidateFinal, gain, match, step, time, flops } = candidate.rows[i];
      return [
        candidate.name,
        code,
        name,
        main ? "main" : "variant",
        examples,
        baselineFinal,
        candidateFinal,
        ...estimate(gain),
        ...estimate(step),
        ...estimate(time),
        ...estimate(flops),
        match.bound,
        match.of,
        match.quality,
        match.baselineStep,
        match.candidateStep,
        baseline.epochs[code],
        candidate.epochs[code],
        trainTokens,
        baseline.sourceUse[code],
        candidate.sourceUse[code],
      ];
    }),
  );
  return csv([header, ...lines]);
}

function estimate(value: Estimate | null): (number | null)[] {
  return value ? [value.value, ...(value.interval ?? [null, null])] : [null, null, null];
}
