import { TrainCommand } from "../cli/trainCommand.js";

export default class Pretrain extends TrainCommand {
  static override summary = "Train a model, or go on with its training, as a pipeline file says.";

  static override description =
    `A pipeline file (YAML) names a tokenized dataset, a model, and how it is trained; pipelines/ has
annotated ones. Everything goes to the run directory: config.yaml (resolved), run.json, environment.json, log.txt,
metrics.jsonl, tensorboard/, checkpoints/ and eval/. A checkpoint is a Hugging Face model directory with the optimizer's
state beside it.

The same command goes on with a run that was stopped or killed, from its last complete checkpoint, and ends with the same
bytes as if it had never stopped. Ctrl-C, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 finish the step, or give up
an evaluation, and write a checkpoint first (exit code 130). A run
directory with another configuration is refused; only these keys may change on the way: name, dataset (the same content
elsewhere), run, evaluation.every, checkpoints, logEvery, stopAfter, trackers, backend (results then agree but for rounding), and steps where the
learning rate has no ramp down.

RUN/config.yaml goes on with the run that lies in that folder, wherever it was moved or copied to.

Relative paths, in the file and in flags, are relative to the working directory.`;

  static override examples = [
    "<%= config.bin %> <%= command.id %> pipelines/demo-dense.yaml",
    "<%= config.bin %> <%= command.id %> pipelines/demo-switch.yaml --run runs/sixteen --set model.switch.experts=16 --set steps=1000",
    "<%= config.bin %> <%= command.id %> pipelines/demo-switch.yaml --plan",
    {
      description: "Go on with a run from its own directory:",
      command: "<%= config.bin %> <%= command.id %> runs/sixteen/config.yaml",
    },
    {
      description: "Go past a divergence: from step 2000 on at half the learning rate, without the next 100 batches:",
      command:
        "<%= config.bin %> <%= command.id %> runs/a/config.yaml --run runs/b --from-step 2000 --skip-batches 100 --set optimizer.learningRate.base=0.5",
    },
  ];

  protected override readonly command = "pretrain";
}
