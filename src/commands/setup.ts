import { Args, Flags } from "@oclif/core";
import { stderrLog } from "../base/log.js";
import { withInterrupt } from "../cli/interrupt.js";
import { MswitchCommand } from "../cli/mswitchCommand.js";

export default class Setup extends MswitchCommand {
  static override summary = "Make TensorFlow's own backend, tfjs-node, for any Node.js.";

  static override description =
    `npm has no binary of @tensorflow/tfjs-node for Node.js 22 and newer, and none of -gpu for today's CUDA. This compiles the
package's own binding, unchanged, against the libtensorflow that pip installs. Everything goes to the user's cache
(~/.cache/mswitch/tfjs-node, 1.2 GB; remove the folder to be rid of it). Then --backend tfjs-node finds it from anywhere.

Needs Python 3 with pip and venv, npm, make and a C++17 compiler, and the registries of pip and npm. Takes about a minute. What is
there already is made anew.`;

  static override examples = [
    "<%= config.bin %> <%= command.id %> tfjs-node",
    "<%= config.bin %> <%= command.id %> tfjs-node-gpu --python python3.12",
    "<%= config.bin %> <%= command.id %> tfjs-node-gpu --tensorflow 'tensorflow[and-cuda]==2.20.0'",
  ];

  static override args = {
    backend: Args.string({ description: "Backend to make.", options: ["tfjs-node", "tfjs-node-gpu"], required: true }),
  };

  static override flags = {
    python: Flags.string({ description: "Python 3 for TensorFlow's library.", default: "python3" }),
    tensorflow: Flags.string({
      helpValue: "REQUIREMENT",
      description: "What pip installs; tensorflow-cpu, or tensorflow[and-cuda] of -gpu, where left out.",
    }),
  };

  async run(): Promise<{ folder: string; tensorFlow: string }> {
    const { args, flags } = await this.parse(Setup);
    const { setupTensorFlow } = await import("../backends/setupTensorFlow.js");
    const name = args.backend === "tfjs-node-gpu" ? "tfjs-node-gpu" : "tfjs-node";
    const made = await withInterrupt((signal) => setupTensorFlow({ name, ...flags, log: stderrLog, signal }));
    this.log(`${args.backend} on TensorFlow ${made.tensorFlow}: ${made.folder}`);
    return made;
  }
}
