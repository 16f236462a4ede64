import { availableParallelism, cpus, totalmem } from "node:os";
import { stringify } from "yaml";
import { count, figures, formatBytes, formatDuration } from "../../base/format.js";
import { mostEpochs } from "../probe/describeRunPlan.js";
import { type ChosenRun, fewestSteps } from "./chooseRun.js";

/** Seconds that the chosen run takes here. */
export function expectedSeconds({ config, stepSeconds, evaluationSeconds }: ChosenRun): number {
  const { every } = config.evaluation;
  const evaluations = typeof every === "number" ? Math.ceil(config.steps / every) + 1 : every.length;
  return config.steps * stepSeconds + evaluations * evaluationSeconds;
}

/** The commands that a run file written to `file` is for, in their order. */
export function nextCommands(file: string, dataset: string): string[] {
  return [
    `mswitch pretrain ${file} --run runs/dense --set model.switch=null`,
    `mswitch pretrain ${file} --run runs/switch`,
    `mswitch report runs/dense runs/switch --dataset ${dataset} --out report`,
  ];
}

/**
 * The text of a run's file, with the reason of each choice.
 *
 * @param schema path or URL of the JSON Schema, for editors
 * @param command that it was written by
 */
export function runFileText(
  chosen: ChosenRun,
  { file, schema, command }: { file: string; schema: string; command: string },
): string {
  const { config, size, prepared, tokens, denseParameters, stepSeconds } = chosen;
  const { plan, model, stream } = prepared;
  const { switch: sparse, ...dense } = config.model;
  const { experts = 0 } = sparse ?? {};
  const epochs = Math.max(...stream.epochs(config.steps));
  const warmup = config.optimizer.learningRate.warmupSteps ?? 0;
  const section = (comments: string[], value: object): string =>
    [...comments.map((line) => `# ${line}`), stringify(value, { lineWidth: 100 }).trimEnd()].join("\n");
  const head = [
    `# yaml-language-server: $schema=${schema}`,
    `# Written by \`${command}\` for ${availableParallelism()} cores of ${cpus()[0]?.model.trim() ?? "unknown"},`,
    `# ${formatBytes(totalmem())}, backend ${chosen.backend}.`,
    `# By a probe: ${figures(stepSeconds)} s a step, ${formatDuration(expectedSeconds(chosen))} for this run. The dense baseline is the same file:`,
    "#",
    ...nextCommands(file, config.dataset).map((line) => `#   ${line}`),
    "#",
    "# docs/choosing.md says more of each choice. A key that is left out has its default: docs/run-file.md.",
  ];
  const sections = [
    section([], { dataset: config.dataset, run: config.run }),
    section(
      [
        `${size.title}: ${count(denseParameters)} parameters outside the embeddings without experts, ${count(plan.parameters)} in all with them.`,
        ...(chosen.limit ? [`Not larger, since ${chosen.limit}.`] : []),
        `${experts} experts: each sees ${figures((config.stream.batchSize * stream.lengths.inputs) / experts)} encoder positions of a step where the load is even.`,
        "Dense baseline: switch: null.",
      ],
      { model: { ...dense, switch: sparse } },
    ),
    section([`${plan.tokensPerStep.toLocaleString("en-US")} positions a step, encoder and decoder together.`], {
      stream: { batchSize: config.stream.batchSize, inputLength: config.stream.inputLength },
    }),
    section(
      [
        "Adafactor, T5's schedule: base/√max(step, warmupSteps). Its 10,000 steps of warm-up are brought forward to a third of a",
        `shorter run, at least 1,000: ${figures(1 / Math.sqrt(warmup))} until step ${warmup}.`,
      ],
      { optimizer: { learningRate: config.optimizer.learningRate } },
    ),
    section(
      [
        `The ${count(tokens)} training tokens are read up to ${figures(epochs)} times. Beyond about ${mostEpochs} times more steps teach little;`,
        `below ${fewestSteps.toLocaleString("en-US")} steps a comparison says little, since small models read their source only after some 750.`,
      ],
      { steps: config.steps, seed: config.seed },
    ),
    section(
      [model.precision === "selective" ? "Products in bfloat16, router in float32." : "This backend has no bfloat16."],
      {
        precision: config.precision,
      },
    ),
    section([], { evaluation: config.evaluation, checkpoints: config.checkpoints }),
    [
      "# stopAfter: 3h       # a process ends after this time with a checkpoint; the same command goes on",
      "# trackers: { wandb: { mode: offline } }",
    ].join("\n"),
  ];
  return `${[head.join("\n"), ...sections].join("\n\n")}\n`;
}
