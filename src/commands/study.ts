import { Args, Flags } from "@oclif/core";
import { stderrLog } from "../base/log.js";
import { parseTask } from "../cli/flagValues.js";
import { withInterrupt } from "../cli/interrupt.js";
import { MswitchCommand } from "../cli/mswitchCommand.js";
import type { StudyPlan } from "../study/studyPlan.js";
import type { StudyResults } from "../study/studyResults.js";

/** FLOPs a second of one thread in training: seen with preset tiny on an AMD EPYC Zen 4 core with AVX512-BF16. */
const flopsOfThread = 50e9;

type StudyResult = { plan: StudyPlan & { seconds: number } } | { report: string; results: StudyResults };

export default class Study extends MswitchCommand {
  static override summary = "Train all runs of a study, or what is missing of them, and write one report.";
  static override description =
    `A study's file (YAML, pipelines/studies/) names a base run, variants and a grid of values, and seeds; where it needs datasets and
models to start from, also these, which are made first. Every run is a \`mswitch pretrain\`, \`finetune\` or \`distill\` in a process of its own, with its directory under OUT/runs. The same command goes on where it was stopped or killed;
finished runs are kept. A run that diverges is a result. The report (OUT/results.md, .json, .csv, and times.md) has each
variant's mean over seeds with its interval, and its gain and speed-up over the baseline in pairs of equal seeds.

By default as many runs as there are cores are trained at a time, with a thread each: two runs of one thread do about 1.5 times the
work of one run with two. On a GPU take --processes 1. Any number of processes, on any machines that share OUT, may
work on a study: give each its --task.`;
  static override examples = [
    "<%= config.bin %> <%= command.id %> pipelines/studies/table3.yaml --plan",
    "<%= config.bin %> <%= command.id %> pipelines/studies/table3.yaml",
    "<%= config.bin %> <%= command.id %> pipelines/studies/ladder.yaml --task $SLURM_ARRAY_TASK_ID/8 --processes 4",
  ];
  static override args = { study: Args.string({ required: true, description: "The study's file." }) };
  static override flags = {
    out: Flags.string({ helpValue: "DIR", description: "Folder of runs and report, instead of the file's." }),
    plan: Flags.boolean({
      description: "Print runs, FLOPs and time, and train nothing. Datasets that the file describes are made.",
    }),
    task: Flags.string({
      helpValue: "I/N",
      description: "Train only share I, counted from 0, of N equal shares of the runs.",
    }),
    processes: Flags.integer({ min: 1, description: "Runs trained at a time. Default: one a core." }),
    threads: Flags.integer({ min: 1, default: 1, description: "Threads of each run; rounding depends on them." }),
    set: Flags.string({
      description:
        "Another value for a key in the run of every variant, path=value; or for one of the study's own: datasets.text=DIR, seeds=[1], models.dense.set.steps=500.",
      multiple: true,
      multipleNonGreedy: true,
      default: [],
    }),
  };

  async run(): Promise<StudyResult> {
    const { args, flags } = await this.parse(Study);
    const { availableParallelism } = await import("node:os");
    const { readStudy } = await import("../study/studyFile.js");
    const { planStudy } = await import("../study/studyPlan.js");
    const study = await readStudy(args.study, flags.out, flags.set);
    const { makeDatasets } = await import("../cli/processes/makeDatasets.js");
    await withInterrupt((signal) => makeDatasets(study.datasets, stderrLog, signal));
    const plan = await planStudy(study, stderrLog);
    const { threads, processes = Math.min(availableParallelism(), plan.runs) } = flags;
    const seconds = plan.flops / (flopsOfThread * threads * processes);
    if (flags.plan) {
      await this.printPlan(plan, seconds, processes, threads);
      return { plan: { ...plan, seconds } };
    }
    const { requireWritableFolder } = await import("../base/files/makeDirectory.js");
    requireWritableFolder(study.out, "the study");
    const { runStudy } = await import("../study/runStudy.js");
    const { writeStudy } = await import("../study/writeStudy.js");
    const { runCommand } = await import("../cli/processes/runCommand.js");
    const { commandOf } = await import("../run/runFiles.js");
    const { readRunConfig } = await import("../train/config/runConfig.js");
    const { index: task, count: tasks } = flags.task === undefined ? { index: 0, count: 1 } : parseTask(flags.task);
    const failure: unknown = await withInterrupt((signal) =>
      runStudy(study, {
        ...{ task, tasks, processes, log: stderrLog, signal },
        async train({ variant, seed, base, directory, sets }) {
          const name = commandOf(await readRunConfig(base, { sets, run: directory }));
          const command = [name, base, "--run", directory, ...sets.flatMap((set) => ["--set", set])];
          const options = { name: `${variant}, seed ${seed}`, threads, log: stderrLog, signal };
          const { exitCode, error } = await runCommand(command, options);
          return { exitCode: exitCode ?? 1, error };
        },
      }),
    ).then(
      () => undefined,
      (error: unknown) => error,
    );
    // Also of a study that was stopped or where runs failed: what is missing is named in it.
    const { results, report } = await writeStudy(study);
    if (failure !== undefined) throw failure;
    if (results.missing.length > 0)
      stderrLog.info(`${results.missing.length} runs of other tasks are not finished yet`);
    this.log(report);
    return { report, results };
  }

  private async printPlan(plan: StudyPlan, seconds: number, processes: number, threads: number): Promise<void> {
    const { count, formatDuration, formatFlops } = await import("../base/format.js");
    const { table } = await import("../study/studyTables.js");
    const rows = plan.variants.map((row) => [
      ...[row.variant, row.model, count(row.parameters), formatFlops(row.flopsPerStep), count(row.tokensPerStep)],
      ...[row.steps, row.runs].map((value) => value.toLocaleString("en-US")),
      formatFlops(row.flops),
    ]);
    const head = ["variant", "model", "parameters", "FLOPs a step", "positions a step", "steps", "runs", "FLOPs"];
    this.log(table(head, rows));
    this.log(
      `${plan.runs} runs, ${formatFlops(plan.flops)}, ${count(plan.tokens)} positions: about ${formatDuration(seconds)} with ${processes} at a time of ${threads} thread each, at ${formatFlops(flopsOfThread)}/s a thread (a CPU core with bfloat16 products)`,
    );
  }
}
