import { Args } from "@oclif/core";
import { MswitchCommand } from "../cli/mswitchCommand.js";

export default class Completion extends MswitchCommand {
  static override summary = "Print what makes bash or zsh complete commands and flags.";

  static override description =
    `Load it in the shell's start-up file, or write it once to the place where bash-completion looks.
Files and folders complete as ever.`;

  static override examples = [
    'eval "$(<%= config.bin %> <%= command.id %> bash)"',
    'eval "$(<%= config.bin %> <%= command.id %> zsh)"',
  ];

  static override args = { shell: Args.string({ description: "Shell.", options: ["bash", "zsh"], required: true }) };
  static override enableJsonFlag = false;

  async run(): Promise<void> {
    const { args } = await this.parse(Completion);
    const { completionScript } = await import("../cli/completionScript.js");
    const commands = this.config.commands
      .filter(({ hidden }) => !hidden)
      .map(({ id, flags }) => ({ name: id.replaceAll(":", " "), flags: Object.keys(flags) }));
    this.log(completionScript(this.config.bin, commands, args.shell === "zsh"));
  }
}
