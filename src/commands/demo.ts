import { Flags } from "@oclif/core";
import { stderrLog } from "../base/log.js";
import { withInterrupt } from "../cli/interrupt.js";
import { MswitchCommand, threadsFlag, useThreads } from "../cli/mswitchCommand.js";
import type { DemoReport } from "../cli/processes/runDemo.js";

export default class Demo extends MswitchCommand {
  static override summary =
    "Do the whole job on the shipped sample: from raw shards to a per-language speed-up report.";

  static override description =
    `Preprocesses the Universal Declaration of Human Rights in the languages of mC4 that have it, trains a small
dense mT5 and its Switch twin with 8 experts at the same time, evaluates both in every language and writes the report. Takes three to eight
minutes on two cores where the torch backend is found, with three seeds a side; 5 to 10 elsewhere, with one and less text. Text and models are tiny: what
you see is how the parts work together, not what Switch gains. Stopped or killed, the same command goes on from where it was.`;

  static override examples = [
    "<%= config.bin %> <%= command.id %>",
    "<%= config.bin %> <%= command.id %> --out /data/demo",
  ];

  static override flags = {
    out: Flags.directory({ description: "Folder for the dataset, the runs and the report.", default: "runs/demo" }),
    backend: Flags.string({ description: "TensorFlow.js backend; the best one found where left out (see `doctor`)." }),
    threads: threadsFlag,
  };

  async run(): Promise<DemoReport> {
    const { flags } = await this.parse(Demo);
    useThreads(flags.threads);
    const { runDemo } = await import("../cli/processes/runDemo.js");
    const report = await withInterrupt((signal) => runDemo({ ...flags, log: stderrLog, signal }));
    for (const { name, headline } of report.candidates) this.log(`${name}: ${headline}`);
    this.log(report.page);
    return report;
  }
}
