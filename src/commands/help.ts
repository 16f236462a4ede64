import { Args } from "@oclif/core";
import { MswitchCommand } from "../cli/mswitchCommand.js";

export default class Help extends MswitchCommand {
  static override summary = "Say what a command does and takes, or list the commands.";

  static override description = `The same as COMMAND --help. Without a command: all commands in the order in which a run
needs them, and the exit codes.`;

  static override examples = ["<%= config.bin %> <%= command.id %>", "<%= config.bin %> <%= command.id %> vocab train"];

  static override args = { command: Args.string({ description: "Command to explain, in one or two words." }) };
  static override strict = false;
  static override enableJsonFlag = false;

  async run(): Promise<void> {
    const { argv } = await this.parse(Help);
    const { default: MswitchHelp } = await import("../cli/help.js");
    await new MswitchHelp(this.config).showHelp(argv.map(String));
  }
}
