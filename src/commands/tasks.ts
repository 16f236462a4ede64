import { Args, Flags } from "@oclif/core";
import { MswitchCommand } from "../cli/mswitchCommand.js";
import type { ConvertedTask } from "../corpus/tasks/convertTask.js";

export default class Tasks extends MswitchCommand {
  static override summary = "Turn a published task's files into text-to-text pairs.";
  static override description =
    `Reads the files of a task as they are published and writes OUT/TASK/LANGUAGE/{train,validation,test}.jsonl.gz for
\`mswitch preprocess --pairs\`. Tasks: masakhanews (news topics: LANGUAGE-{train,dev,test}.tsv), xquad (questions: LANGUAGE.jsonl), xcopa (causes
and effects: LANGUAGE-{val,test}.jsonl), language-id (the language of a text: shards of mC4, data/sample). Number spelling and emoji groups ship
as pairs in data/tasks and need no such step.`;
  static override examples = [
    "<%= config.bin %> <%= command.id %> language-id --from data/sample --out tasks",
    "<%= config.bin %> <%= command.id %> masakhanews --from ~/masakhanews --out tasks",
  ];
  static override args = {
    task: Args.string({
      description: "Which task.",
      required: true,
      options: ["masakhanews", "xquad", "xcopa", "language-id"],
    }),
  };
  static override flags = {
    from: Flags.string({ required: true, helpValue: "DIR", description: "Folder of the task's files." }),
    out: Flags.string({ required: true, helpValue: "DIR", description: "Folder of all tasks' pairs." }),
  };

  async run(): Promise<ConvertedTask> {
    const { args, flags } = await this.parse(Tasks);
    const { convertTask } = await import("../corpus/tasks/convertTask.js");
    const converted = await convertTask(args.task as ConvertedTask["task"], flags.from, flags.out);
    for (const [language, splits] of Object.entries(converted.languages)) {
      const counts = Object.entries(splits).map(([split, pairs]) => `${split} ${pairs}`);
      this.log(`${language.padEnd(8)} ${counts.join(", ")}`);
    }
    if (converted.passedOver.length > 0) process.stderr.write(`passed over: ${converted.passedOver.join(", ")}\n`);
    return converted;
  }
}
