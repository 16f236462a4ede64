import { Args, Flags } from "@oclif/core";
import { writeFileAtomic } from "../base/atomicFile.js";
import { exitCode, MswitchError } from "../base/errors.js";
import { requireWritableFile } from "../base/files/makeDirectory.js";
import { stderrLog } from "../base/log.js";
import { withInterrupt } from "../cli/interrupt.js";
import { MswitchCommand, threadsFlag, useThreads, wrongUse } from "../cli/mswitchCommand.js";
import type { GenerateFileResult } from "../eval/generateFile.js";
import { type TaskMetric, taskMetricNames } from "../eval/taskMetrics.js";

export default class Generate extends MswitchCommand {
  static override summary = "Write what a model answers to each line of a text, or of a JSONL file.";

  static override description =
    `MODEL is a run, a checkpoint, or a Hugging Face directory of T5, mT5, umT5 or SwitchTransformers. Lines come from --input or from standard input
and go, in the same order, to --out or to standard output: text as text; JSONL as the objects that they were, with what the model wrote under
"output". Greedy, or with --beams; the same texts as generate of Transformers. Computed in float32 on any backend.

--metrics measures JSONL lines that have "targets" (a text, or several of which the best counts), by their "task" and "lang".`;

  static override examples = [
    "echo 'spell: 42' | <%= config.bin %> <%= command.id %> runs/numbers",
    "<%= config.bin %> <%= command.id %> runs/numbers --input test.jsonl --beams 4 --metrics exactMatch,chrF --out answers.jsonl",
    "<%= config.bin %> <%= command.id %> mt5-small --vocab mt5-small/spiece.model --input questions.txt",
  ];

  static override args = {
    model: Args.string({ required: true, description: "Run, checkpoint, or Hugging Face directory." }),
  };

  static override flags = {
    input: Flags.string({ helpValue: "FILE", description: "What to read; standard input where left out." }),
    out: Flags.string({ helpValue: "FILE", description: "Where to write; standard output where left out." }),
    format: Flags.option({ options: ["text", "jsonl"] as const })({
      description: "Of the input; jsonl where its name ends so, else text.",
    }),
    field: Flags.string({ default: "inputs", description: "Key of the text in a JSONL line." }),
    metrics: Flags.string({ helpValue: taskMetricNames.join(","), description: "Measure the outputs by these." }),
    "max-new-tokens": Flags.integer({ min: 1, default: 64, description: "Most tokens of an output." }),
    "max-input-tokens": Flags.integer({
      min: 2,
      description: "Cut longer inputs, and say how many; none where left out.",
    }),
    batch: Flags.integer({ min: 1, default: 8, description: "Lines that are read together." }),
    beams: Flags.integer({ min: 1, default: 1, description: "1 is greedy." }),
    "length-penalty": Flags.string({
      default: "1",
      description: "With beams: a text's score is its log probability over its length to the power of this.",
    }),
    "early-stopping": Flags.boolean({ description: "With beams: end a search at as many finished texts as beams." }),
    vocab: Flags.string({
      helpValue: "FILE",
      description: "SentencePiece model; spiece.model beside the weights where left out.",
    }),
    backend: Flags.string({ description: "TensorFlow.js backend; the best one found where left out (see `doctor`)." }),
    threads: threadsFlag,
  };

  async run(): Promise<Omit<GenerateFileResult, "lines"> & { outputs: GenerateFileResult["lines"]; model: string }> {
    const { args, flags } = await this.parse(Generate);
    useThreads(flags.threads);
    const metrics = metricsOf(flags.metrics);
    const lengthPenalty = Number(flags["length-penalty"]);
    if (!Number.isFinite(lengthPenalty))
      throw wrongUse(`--length-penalty ${flags["length-penalty"]} is no number`, "1");
    const { modelDirectory } = await import("../train/setup/findStart.js");
    const { generateFile, readInput } = await import("../eval/generateFile.js");
    const model = await modelDirectory(args.model);
    stderrLog.info(`model ${model}`);
    const format = flags.format ?? (flags.input?.endsWith(".jsonl") ? "jsonl" : "text");
    if (metrics.length > 0 && format !== "jsonl") {
      throw wrongUse("--metrics measures JSONL lines that have targets, and the input is text", "--format jsonl");
    }
    const text = await readInput(flags.input);
    if (flags.out !== undefined) requireWritableFile(flags.out, "the output", "output.txt");
    const { lines, ...result } = await withInterrupt((signal) =>
      generateFile(model, text, {
        ...{
          format,
          field: flags.field,
          metrics,
          vocabulary: flags.vocab,
          backend: flags.backend,
          log: stderrLog,
          signal,
        },
        ...{ maxNewTokens: flags["max-new-tokens"], maxInputTokens: flags["max-input-tokens"], batchSize: flags.batch },
        ...{ beams: flags.beams, lengthPenalty, earlyStopping: flags["early-stopping"] },
        onProgress: (done, total) => stderrLog.info(`${done}/${total}`),
      }).catch((error: unknown) => {
        if (!signal.aborted || error !== signal.reason) throw error;
        throw new MswitchError("interrupted", { code: "interrupted", exitCode: exitCode.interrupted });
      }),
    );
    const written = lines.map((line) => (typeof line === "string" ? line.replaceAll("\n", " ") : JSON.stringify(line)));
    if (flags.out !== undefined) await writeFileAtomic(flags.out, written.map((line) => `${line}\n`).join(""));
    else for (const line of written) this.log(line);
    if (result.cutSources > 0)
      stderrLog.warn(`${result.cutSources} inputs were cut to ${flags["max-input-tokens"]} tokens`);
    if (result.unended > 0) {
      stderrLog.info(`${result.unended} of ${lines.length} outputs were cut off at ${flags["max-new-tokens"]} tokens`);
    }
    if (metrics.length > 0 && result.results.length === 0) {
      stderrLog.warn("nothing was measured: no line of the input has targets");
    }
    for (const { task, lang, metric, value, examples } of result.results) {
      stderrLog.info(
        `${[task, lang].filter((part) => part !== "").join("/")} ${metric} ${value.toFixed(4)} (${examples})`,
      );
    }
    return { model, ...result, outputs: lines };
  }
}

function metricsOf(list: string | undefined): TaskMetric[] {
  if (list === undefined) return [];
  return list.split(",").map((name) => {
    const metric = taskMetricNames.find((known) => known === name.trim());
    if (metric === undefined) throw wrongUse(`there is no metric ${name}`, taskMetricNames.join(","));
    return metric;
  });
}
