import { MswitchCommand } from "../cli/mswitchCommand.js";

export default class Doctor extends MswitchCommand {
  static override summary = "Say what was found on this machine and what could be installed.";

  async run(): Promise<{ node: string }> {
    this.log(process.version);
    return { node: process.version };
  }
}
