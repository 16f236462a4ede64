import type { Finding } from "../cli/diagnose.js";
import { MswitchCommand } from "../cli/mswitchCommand.js";

export default class Doctor extends MswitchCommand {
  static override summary = "Say what was found on this machine, and what could be installed.";

  static override description = `Looks for Node.js, the TensorFlow.js backends (the first usable one is the default of
\`pretrain\` and \`evaluate\`), a GPU, a SentencePiece trainer, and the files that ship with mswitch. Exit code 1 where something
required is missing.`;

  static override examples = ["<%= config.bin %> <%= command.id %>", "<%= config.bin %> <%= command.id %> --json"];

  async run(): Promise<{ version: string; ok: boolean; findings: Finding[] }> {
    await this.parse(Doctor);
    const { diagnose } = await import("../cli/diagnose.js");
    const findings = await diagnose();
    const ok = findings.every((finding) => finding.found || !finding.required);
    this.log(`mswitch ${this.config.version}`);
    const width = Math.max(...findings.map(({ name }) => name.length));
    for (const { name, found, required, detail } of findings) {
      this.log(`${found ? "  ok" : required ? "FAIL" : "   -"}  ${name.padEnd(width)}  ${detail}`);
    }
    if (!ok) this.exitWith(1);
    return { version: this.config.version, ok, findings };
  }
}
