import { Flags } from "@oclif/core";
import { usageError } from "../base/errors.js";
import { parseDuration } from "../base/format.js";
import { stderrLog } from "../base/log.js";
import { MswitchCommand, threadsFlag, useThreads } from "../cli/mswitchCommand.js";

export interface InitResult {
  /** The file that was written. */
  file: string;
  backend: string;
  size: string;
  experts: number;
  steps: number;
  secondsPerStep: number;
  /** Of one run. */
  seconds: number;
  /** Why no larger model was chosen; null where there is none. */
  limit: string | null;
  next: string[];
}

export default class Init extends MswitchCommand {
  static override summary = "Write a run file for this machine and a dataset: size, experts, learning rate, steps.";

  static override description =
    `Tries models from small to large for a few steps each, and takes the largest that this machine trains in the
time, that fits into its memory, and that the dataset has text for. The file says the reason of each choice; change what
you know better. docs/choosing.md says where the rules come from.

It describes a Switch model. The dense baseline is the same file with --set model.switch=null; the commands are
printed.`;

  static override examples = [
    "<%= config.bin %> <%= command.id %> --dataset tokens",
    "<%= config.bin %> <%= command.id %> --dataset tokens --time 3h --experts 16 --out big.yaml",
  ];

  static override flags = {
    dataset: Flags.string({
      required: true,
      helpValue: "DIR",
      description: "Tokenized dataset, made by `preprocess`.",
    }),
    out: Flags.string({ default: "run.yaml", helpValue: "FILE", description: "The file to write; it must not exist." }),
    time: Flags.string({ default: "30m", description: "What one run may take: 90s, 45m, 3h, 2d." }),
    experts: Flags.integer({
      min: 1,
      max: 65_536,
      description: "Experts of a sparse layer; as many as a step's tokens keep busy where left out.",
    }),
    backend: Flags.string({ description: "TensorFlow.js backend; the best one found where left out (see `doctor`)." }),
    threads: threadsFlag,
  };

  async run(): Promise<InitResult> {
    const { flags } = await this.parse(Init);
    useThreads(flags.threads);
    const seconds = parseDuration(flags.time);
    if (!seconds) {
      throw usageError(`${flags.time} is no time`, { code: "flag-invalid", where: "--time", hint: "90s, 45m, 3h, 2d" });
    }
    const { existsSync } = await import("node:fs");
    const { writeFileAtomic } = await import("../base/atomicFile.js");
    const { requireWritableFile } = await import("../base/files/makeDirectory.js");
    const { openDataset } = await import("../dataset/read/openDataset.js");
    const { chooseRun } = await import("../train/init/chooseRun.js");
    const { expectedSeconds, nextCommands, runFileText } = await import("../train/init/runFileText.js");
    const { schemaPath } = await import("../cli/packageRoot.js");
    if (existsSync(flags.out)) {
      throw usageError("the file is there already", {
        code: "output-unusable",
        where: flags.out,
        hint: "name another with --out, or remove it",
      });
    }
    const dataset = await openDataset(flags.dataset);
    requireWritableFile(flags.out, "the run file", "run.yaml");
    try {
      const { experts, backend } = flags;
      const chosen = await chooseRun({
        dataset,
        datasetPath: flags.dataset,
        seconds,
        experts,
        backend,
        log: stderrLog,
      });
      const command = `mswitch init --dataset ${flags.dataset} --time ${flags.time}`;
      const text = runFileText(chosen, { file: flags.out, schema: schemaPath("run", flags.out), command });
      await writeFileAtomic(flags.out, text);
      const { config, size } = chosen;
      const next = nextCommands(flags.out, flags.dataset);
      this.log(`${flags.out}: ${size.title}, ${config.model.switch?.experts} experts, ${config.steps} steps`);
      if (chosen.limit) this.log(`  not larger, since ${chosen.limit}`);
      this.log(`Next:\n${next.map((line) => `  ${line}`).join("\n")}`);
      return {
        file: flags.out,
        backend: chosen.backend,
        size: size.title,
        experts: config.model.switch?.experts ?? 0,
        steps: config.steps,
        secondsPerStep: chosen.stepSeconds,
        seconds: expectedSeconds(chosen),
        limit: chosen.limit ?? null,
        next,
      };
    } finally {
      dataset.close();
    }
  }
}
