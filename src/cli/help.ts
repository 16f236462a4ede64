import { type Command, Help } from "@oclif/core";
import { wrapText } from "../base/format.js";

/** Commands in the order in which a user meets them. */
const stages: [title: string, commands: string[]][] = [
  ["Start", ["demo", "doctor", "setup"]],
  ["Text to tokens", ["vocab train", "vocab inspect", "tasks", "preprocess", "dataset verify", "dataset inspect"]],
  ["Training", ["init", "plan", "pretrain", "finetune", "distill", "study"]],
  ["Results", ["evaluate", "generate", "report"]],
];

/**
 * oclif's help, with a root help in pipeline order that fits 80 columns. It says nothing of the machine: the build keeps what it
 * prints in dist/help.txt.
 */
export default class MswitchHelp extends Help {
  override async showRootHelp(): Promise<void> {
    const { bin, pjson } = this.config;
    this.log(`${wrapText(pjson.description ?? "", 80).join("\n")}\n`);
    this.log(`Usage: ${bin} COMMAND [FLAGS]`);
    this.log(`First step: ${bin} demo (the whole job on the shipped sample, in minutes)\n`);
    const left = new Map(
      this.sortedCommands.filter(({ hidden }) => !hidden).map((command) => [nameOf(command), command]),
    );
    const width = Math.max(...[...left.keys()].map((name) => name.length));
    const section = (title: string, commands: [string, Command.Loadable][]): void => {
      if (commands.length === 0) return;
      this.log(`${title}:`);
      for (const [name, { summary }] of commands) {
        const indent = " ".repeat(width + 4);
        const [first = "", ...more] = wrapText(summary ?? "", 80, indent);
        this.log([`  ${name.padEnd(width)}  ${first.trimStart()}`, ...more].join("\n"));
      }
      this.log("");
    };
    for (const [title, names] of stages) {
      section(
        title,
        names.flatMap((name): [string, Command.Loadable][] => {
          const command = left.get(name);
          left.delete(name);
          return command ? [[name, command]] : [];
        }),
      );
    }
    section("Others", [...left]);
    const more = `${bin} help COMMAND, or COMMAND --help, says all of one command. Results go to stdout (--json: one JSON document), progress
      and logs to stderr. Exit codes: 0 done, 1 failed, 2 wrong use or configuration, 3 done but some input was set aside, 130 interrupted.`;
    this.log(wrapText(more, 80).join("\n"));
  }
}

function nameOf({ id }: Command.Loadable): string {
  return id.replaceAll(":", " ");
}
