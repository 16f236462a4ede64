import { TrainCommand } from "../cli/trainCommand.js";

export default class Finetune extends TrainCommand {
  static override summary = "Fine-tune a model on text-to-text pairs, or go on with it, as a pipeline file says.";

  static override description =
    `A pipeline file with \`objective: pairs\` names a dataset of pairs (\`mswitch preprocess --pairs\`), what to start from
(init.from: a run, a checkpoint, or a Hugging Face directory of T5, mT5, umT5 or SwitchTransformers), and how to train. Left out, the learning rate is
constant at 0.001, dropout 0.1, and expert dropout 0.4. A dense model becomes a Switch one where the file says model.switch: every expert begins as
a copy of the dense layer.

Every evaluation is by task and language. evaluation.best keeps the best checkpoint by a metric, and ends the run early where its patience is
over. The run directory, going on after a stop or a kill, and all else are as in \`pretrain\`; docs/fine-tuning.md has the whole way.`;

  static override examples = [
    "<%= config.bin %> <%= command.id %> pipelines/finetune-numbers.yaml --set init.from=runs/switch",
    {
      description: "From a dense mT5 of Transformers, with eight experts in every other layer:",
      command:
        "<%= config.bin %> <%= command.id %> pipelines/finetune-numbers.yaml --set init.from=mt5-small --set model.switch.experts=8",
    },
    {
      description: "Go on with a run from its own directory:",
      command: "<%= config.bin %> <%= command.id %> runs/numbers/config.yaml",
    },
  ];

  protected override readonly command = "finetune";
}
