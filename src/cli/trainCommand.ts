import { Args, Flags } from "@oclif/core";
import { exitCode } from "../base/errors.js";
import { plural } from "../base/format.js";
import { stderrLog } from "../base/log.js";
import type { TrainingCommand } from "../run/runFiles.js";
import type { RunConfigOverrides } from "../train/config/runConfig.js";
import type { PretrainResult } from "../train/pretrain.js";
import type { RunPlan } from "../train/probe/planRun.js";
import { withInterrupt } from "./interrupt.js";
import { MswitchCommand, threadsFlag, useThreads } from "./mswitchCommand.js";

/** What `pretrain`, `finetune` and `distill` have in common: all but the files they take. */
export abstract class TrainCommand extends MswitchCommand {
  protected abstract readonly command: TrainingCommand;

  static override args = {
    pipeline: Args.string({ description: "RunConfig file.", required: true }),
  };

  static override flags = {
    run: Flags.string({ description: "Run directory, instead of the file's." }),
    set: Flags.string({
      description: "Another value for a key, written path=value with the value in YAML; may be given more than once.",
      multiple: true,
      multipleNonGreedy: true,
      default: [],
    }),
    processes: Flags.integer({
      min: 2,
      max: 1024,
      description:
        "Train in so many processes of this machine, each with its share of every batch and of the cores; on several machines start the command by torchrun --no-python or srun.",
    }),
    "from-step": Flags.string({
      helpValue: "STEP|latest",
      description:
        "Begin a new run, in --run, with this checkpoint of the run whose config.yaml PIPELINE is. Other values, with --set, hold from there on.",
    }),
    "skip-batches": Flags.integer({
      min: 0,
      description: "Step n takes batch n plus this many: a way past data on which a run diverges.",
    }),
    plan: Flags.boolean({
      exclusive: ["processes", "from-step"],
      description:
        "Train nothing: say by a probe of a few steps what the run takes in time, memory and disk, and the largest batch that fits.",
    }),
    backend: Flags.string({ description: "TensorFlow.js backend; the best one found where left out (see `doctor`)." }),
    threads: threadsFlag,
  };

  async run(): Promise<PretrainResult | RunPlan> {
    const { args, flags } = await this.parse(TrainCommand);
    useThreads(flags.threads);
    const { set: sets, run, backend, processes, "from-step": fromStep, "skip-batches": skipBatches, threads } = flags;
    const overrides = { sets, run, backend, fromStep, skipBatches };
    if (flags.plan) return this.plan(args.pipeline, overrides);
    if (processes !== undefined) return this.runInProcesses(args.pipeline, { ...overrides, threads }, processes);
    const { pretrain } = await import("../train/pretrain.js");
    const { createProgress } = await import("../base/progress.js");
    // Elsewhere than on a terminal the log's own lines tell the progress.
    const progress = process.stderr.isTTY ? createProgress : undefined;
    const result = await withInterrupt((signal) =>
      pretrain(args.pipeline, { ...overrides, command: this.command, log: stderrLog, signal, progress }),
    );
    // Of several processes the first alone has a result to tell.
    if (result.rank > 0) process.exit(result.interrupted ? exitCode.interrupted : exitCode.done);
    return this.report(result);
  }

  private async plan(file: string, overrides: RunConfigOverrides): Promise<RunPlan> {
    const { planRun } = await import("../train/probe/planRun.js");
    const { describeRunPlan } = await import("../train/probe/describeRunPlan.js");
    const plan = await planRun(file, { ...overrides, log: stderrLog });
    this.log(describeRunPlan(plan).join("\n"));
    if (plan.disk.total > plan.disk.free) {
      stderrLog.warn("the disk is too small for the run; fewer checkpoints.keepLast, or another --run");
    }
    return plan;
  }

  /** Starts this command once for each rank, and gives what rank 0 came to. */
  private async runInProcesses(
    file: string,
    {
      sets,
      threads,
      ...flags
    }: { sets: string[]; run?: string; backend?: string; fromStep?: string; skipBatches?: number; threads?: number },
    processes: number,
  ): Promise<PretrainResult> {
    const { runProcesses } = await import("./processes/runProcesses.js");
    const { shipped } = await import("./packageRoot.js");
    const { availableParallelism } = await import("node:os");
    const given = {
      run: flags.run,
      backend: flags.backend,
      "from-step": flags.fromStep,
      "skip-batches": flags.skipBatches,
    };
    const options = Object.entries(given).flatMap(([flag, value]) =>
      value === undefined ? [] : [`--${flag}`, String(value)],
    );
    const { stdout } = await withInterrupt((signal) =>
      runProcesses({
        args: [this.command, file, ...options, ...sets.flatMap((set) => ["--set", set]), "--json"],
        ...{ processes, log: stderrLog, signal, bin: shipped("bin", "run.js") },
        threads: threads ?? Math.max(1, Math.floor(availableParallelism() / processes)),
      }),
    );
    return this.report(JSON.parse(stdout) as PretrainResult);
  }

  private report(result: PretrainResult): PretrainResult {
    const { step, steps, evaluation, checkpoint } = result;
    this.log(`${result.name}: step ${step} of ${steps}${result.interrupted ? ", interrupted" : ""}`);
    if (evaluation) {
      const { mean, languages, best, worst } = evaluation;
      this.log(
        `  nlp ${mean.toFixed(4)} over ${plural(languages, "language")} at step ${evaluation.step}, best ${best}, worst ${worst}`,
      );
    }
    if (result.best) {
      const { metric, step: at, value } = result.best;
      const early = step < steps && !result.interrupted ? ", ended early" : "";
      this.log(`  best ${metric} ${value.toFixed(4)} at step ${at}${early}`);
    }
    this.log(`  run ${result.run}`);
    if (checkpoint) this.log(`  checkpoint ${checkpoint}`);
    if (result.interrupted) this.exitWith(exitCode.interrupted);
    return result;
  }
}
