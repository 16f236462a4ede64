// Memory of distillation's loss and its gradients at mT5's vocabulary: torch backend, 250,112 pieces, states of 512, by the number of target tokens.
// usage: npm run bench:distillation -- [--tokens 128,1024,4096]   (after npm run build; Linux)
// Each number is a process of its own. Prints its peak resident set above what the two models' output layers take, in MiB, and what one tensor
// [tokens, vocabulary] would take.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as tf from "@tensorflow/tfjs-core";
import { loadBackend } from "../dist/backends/loadBackend.js";
import { linearDistillation } from "../dist/ops/linearDistillation.js";
import { parseFlags } from "../scripts/parseFlags.mjs";

const { values } = parseFlags(import.meta.url, { options: { tokens: { type: "string", default: "128,1024,4096" } } });
const counts = values.tokens.split(",").map(Number);
const [vocab, width] = [250_112, 512];

/** A line of /proc/self/status, MiB. */
function memory(name) {
  const [, kibibytes] = new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync("/proc/self/status", "utf8"));
  return kibibytes / 1024;
}

if (counts.length > 1) {
  for (const count of counts) {
    const args = [fileURLToPath(import.meta.url), "--tokens", String(count)];
    process.stdout.write(execFileSync(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] }));
  }
} else {
  const [tokens] = counts;
  await loadBackend("torch");
  const head = tf.variable(tf.randomNormal([vocab, width], 0, 0.04));
  const hidden = tf.variable(tf.randomNormal([tokens, width]));
  const teacher = { hidden_NM: tf.randomNormal([tokens, width]), head_VM: tf.randomNormal([vocab, width], 0, 0.04) };
  const target = tf.randomUniform([tokens], 1, vocab, "int32");
  const weight = tf.ones([tokens]);
  const before = memory("VmRSS");
  const options = { weight: 0.25, temperature: 1 };
  const { value } = tf.variableGrads(
    () => linearDistillation(hidden, head, target, weight, teacher, options).loss,
    [hidden, head],
  );
  await value.data();
  const [above, whole] = [memory("VmHWM") - before, (4 * tokens * vocab) / 2 ** 20];
  console.log(`${tokens} tokens: ${Math.round(above)} MiB; one [${tokens}, ${vocab}]: ${Math.round(whole)} MiB`);
}
