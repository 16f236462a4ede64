// A fine-tuning step with dropout 0.1 and expert dropout 0.4 against the same step without, in turn, mT5-Small's shape on the torch backend:
//   npm run bench:dropout -- [--config dense,switch8] [--precision selective] [--steps 7] [--batch 8] [--threads N] [--shape mt5-small]
import { availableParallelism, cpus } from "node:os";
import { parseFlags } from "../scripts/parseFlags.mjs";
import { startOurs, stepsInTurn, warmUp } from "./train/child.mjs";
import { median } from "./train/report.mjs";
import { shapes } from "./train/shapes.mjs";

const { values: flags } = parseFlags(import.meta.url, {
  options: {
    config: { type: "string", default: "dense,switch8" },
    precision: { type: "string", default: "selective" },
    shape: { type: "string", default: "mt5-small" },
    steps: { type: "string", default: "7" },
    batch: { type: "string" },
    threads: { type: "string", default: String(availableParallelism()) },
  },
});
const shape = shapes[flags.shape];
console.log(`${cpus()[0].model}, ${flags.threads} threads, ${flags.precision}`);
for (const config of flags.config.split(",")) {
  const options = {
    ...{ shape: flags.shape, config, vocab: shape.vocab, precision: flags.precision, backend: "torch" },
    ...{ threads: Number(flags.threads), batch: Number(flags.batch ?? shape.batch) },
  };
  const without = await startOurs(options);
  const withDropout = await startOurs({ ...options, dropout: 0.1, expertDropout: 0.4 });
  for (const child of [without, withDropout]) await warmUp(child, 2);
  const [plain, dropped] = await stepsInTurn([without, withDropout], Number(flags.steps));
  for (const child of [without, withDropout]) await child.end();
  const ratioOf = (field) => median(dropped.map((step, i) => step[field] / plain[i][field]));
  const seconds = (steps) => median(steps.map((step) => step.seconds)).toFixed(3);
  console.log(
    `${config}: ${seconds(plain)} s a step without, ${seconds(dropped)} s with: ${ratioOf("seconds").toFixed(3)} times (CPU ${ratioOf("cpuSeconds").toFixed(3)} times)`,
  );
}
