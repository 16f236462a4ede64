import { Args, Flags } from "@oclif/core";
import { stderrLog } from "../base/log.js";
import { parseNames } from "../cli/flagValues.js";
import { MswitchCommand, threadsFlag, useThreads } from "../cli/mswitchCommand.js";
import { type EvalPoint, meanMetrics, meanSourceUse } from "../run/runFiles.js";

/** What is measured of text-to-text pairs, as the table's columns are called. */
const metricTitles: Record<string, string> = {
  exactMatch: "exact",
  tokenAccuracy: "token acc",
  f1: "F1",
  chrF: "chrF",
};

interface EvaluateResult {
  run: string;
  checkpoint: string;
  backend: string;
  step: number;
  /** Mean over the languages, each counting the same. */
  meanNegLogPerplexity: number;
  /** What the right source is worth, nats a target token: the mean over languages; null where none was measured. */
  meanSourceUse: number | null;
  languages: Record<
    string,
    {
      name: string;
      negLogPerplexity: number;
      sourceUse: number | null;
      metrics?: Record<string, number>;
      examples: number;
      tokens: number;
    }
  >;
  routing: EvalPoint["routing"];
  written: string[];
}

export default class Evaluate extends MswitchCommand {
  static override summary = "Measure a checkpoint's quality in every language on fixed validation examples.";
  static override description =
    "Prints each language's negative log perplexity (nats per target token of span corruption, higher is better) and source use (what of it is lost with another text as the source; about 0: the decoder does not read it). On the run's own examples, a step without an evaluation gets one in the run's eval/ folder, where `report` finds it; with --languages, --examples, --dataset or --no-capacity nothing is put there: use --out.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> runs/switch8",
    "<%= config.bin %> <%= command.id %> runs/switch8 --checkpoint 2000 --languages af,am --examples 64 --out af-am.json",
  ];
  static override args = {
    run: Args.string({ required: true, description: "Run directory." }),
  };
  static override flags = {
    checkpoint: Flags.string({ default: "latest", helpValue: "STEP|latest", description: "Which checkpoint." }),
    languages: Flags.string({ helpValue: "af,am", description: "Only these codes; all of the run's where left out." }),
    examples: Flags.integer({ min: 1, description: "Examples a language; the run's own number where left out." }),
    dataset: Flags.string({
      helpValue: "DIR",
      description: "Another tokenized dataset, of the same vocabulary; the run's own where left out.",
    }),
    split: Flags.option({
      options: ["validation", "test"] as const,
      default: "validation" as const,
      description: "Which split; test is of text-to-text pairs.",
    })(),
    generate: Flags.boolean({
      description:
        "Of text-to-text pairs: also write a text for each example, greedily, and measure F1 of its tokens and chrF.",
    }),
    capacity: Flags.boolean({
      allowNo: true,
      default: true,
      description:
        "With --no-capacity every token reaches its expert, as in Transformers; a model without capacity in evaluation is always measured so.",
    }),
    backend: Flags.string({ description: "TensorFlow.js backend; the run's own where left out." }),
    threads: threadsFlag,
    out: Flags.string({ helpValue: "FILE", description: "Also write the evaluation to this file (JSON)." }),
  };

  async run(): Promise<EvaluateResult> {
    const { args, flags } = await this.parse(Evaluate);
    useThreads(flags.threads);
    const { findLanguage } = await import("../corpus/shards/languages.js");
    const { languages: list, ...options } = flags;
    const chosen = list === undefined ? undefined : parseNames(list, "--languages");
    const { evaluateRun } = await import("../train/evaluateRun.js");
    const { point, ...result } = await evaluateRun(args.run, { ...options, languages: chosen, log: stderrLog });
    const rows = Object.entries(point.languages).map(
      ([code, { negLogPerplexity, sourceUse, metrics, exampleTokens }]) => ({
        code,
        name: findLanguage(code)?.name ?? code,
        negLogPerplexity,
        sourceUse: sourceUse ?? null,
        ...(metrics ? { metrics } : {}),
        examples: exampleTokens.length,
        tokens: exampleTokens.reduce((sum, tokens) => sum + tokens, 0),
      }),
    );
    const mean = rows.reduce((sum, row) => sum + row.negLogPerplexity, 0) / rows.length;
    this.log(`step ${point.step}`);
    const overall = meanMetrics(point.languages);
    const titles = Object.entries(metricTitles).filter(([metric]) => Object.hasOwn(overall, metric));
    const head = ["nlp", "source", ...titles.map(([, title]) => title), "examples", "tokens"];
    this.log(`${"language".padEnd(28)}${head.map((title) => title.padStart(10)).join("")}`);
    for (const { code, name, negLogPerplexity, sourceUse, metrics, examples, tokens } of rows) {
      const shares = titles.map(([metric]) => metrics?.[metric].toFixed(3) ?? "–");
      const figures = [negLogPerplexity.toFixed(4), sourceUse?.toFixed(3) ?? "–", ...shares, examples, tokens].map(
        (value) => String(value).padStart(10),
      );
      this.log(`${`${code.padEnd(8)} ${name}`.padEnd(28)}${figures.join("")}`);
    }
    const sourceUse = meanSourceUse(point.languages);
    const shares = titles.map(([metric]) => overall[metric].toFixed(3));
    const means = [mean.toFixed(4), sourceUse?.toFixed(3) ?? "–", ...shares].map((value) => value.padStart(10));
    this.log(`${"mean over languages".padEnd(28)}${means.join("")}`);
    for (const file of result.written) this.log(`written: ${file}`);
    return {
      run: args.run,
      step: point.step,
      meanNegLogPerplexity: mean,
      meanSourceUse: sourceUse,
      languages: Object.fromEntries(rows.map(({ code, ...row }) => [code, row])),
      routing: point.routing,
      ...result,
    };
  }
}
