import { TrainCommand } from "../cli/trainCommand.js";

export default class Distill extends TrainCommand {
  static override summary =
    "Train a small model on a large one's probabilities, or go on with it, as a pipeline file says.";

  static override description =
    `A pipeline file with \`teacher: {from: DIR}\` (a run, a checkpoint, or a Hugging Face directory, of the dataset's vocabulary) and a model of
its own: the student. Its loss is 0.75 times the cross-entropy with the targets and 0.25 times that with the teacher's probabilities; teacher.weight
and teacher.temperature are other ones. With init.from a dense student starts from all weights of a Switch teacher but its experts.

The teacher is measured once on the run's own examples: teacher.json beside the evaluations. A study (pipelines/studies/table6.yaml) says what share of
the teacher's gain a student keeps. Going on after a stop or a kill, and all else, are as in \`pretrain\`; docs/distillation.md has the whole way.`;

  static override examples = [
    "<%= config.bin %> <%= command.id %> pipelines/distill.yaml --set teacher.from=runs/switch",
    {
      description: "Start from the teacher's weights outside of its experts:",
      command:
        "<%= config.bin %> <%= command.id %> pipelines/distill.yaml --set teacher.from=runs/switch --set init.from=runs/switch",
    },
  ];

  protected override readonly command = "distill";
}
