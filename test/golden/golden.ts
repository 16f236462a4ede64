import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import * as z from "zod";
import { MswitchError } from "../../src/base/errors.js";
import { checkpointTensors } from "../../src/model/checkpoint/checkpointTensors.js";
import { loadModel } from "../../src/model/checkpoint/huggingFace.js";
import { openSafetensors, type SafetensorsFile } from "../../src/model/checkpoint/safetensors.js";
import type { ModelConfig } from "../../src/model/config.js";
import { logits } from "../../src/model/exampleLogProbs.js";
import { disposeStep, lossAndGradients, type ModelBatch } from "../../src/model/lossAndGradients.js";
import { disposeParameters } from "../../src/model/parameters.js";
import { adafactor, adafactorStateShapes } from "../../src/ops/optimizers/adafactor.js";
import { relativePositionBucket } from "../../src/ops/relativePositionBias.js";

/** The largest relative difference of a kind of value in a case: max |ours − theirs| / max |theirs| of one tensor. */
export interface GoldenDifference {
  /** `logits`, `cross-entropy`, `gradients`, `parameters`, `buckets` */
  kind: string;
  /** The tensor it was largest in. */
  tensor: string;
  relative: number;
  limit: number;
}

export interface GoldenResult {
  name: string;
  differences: GoldenDifference[];
  passed: boolean;
}

/** bfloat16 has 8 bits of mantissa: about 4e-3 a rounding. A gradient's norm averages them out, single values do not. */
const limits = {
  float32: { value: 1e-4, gradient: 1e-3, gradientNorm: 1e-3 },
  bfloat16: { value: 2e-2, gradient: 1e-1, gradientNorm: 5e-2 },
};
const valueLimit = limits.float32.value;

const ids = z.array(z.array(z.int()));
const modelCase = z.object({
  input_ids: ids,
  attention_mask: ids,
  labels: ids,
  cross_entropy: z.number(),
  grad_norms: z.record(z.string(), z.number()),
});
const adafactorCase = z.object({ lr: z.number(), steps: z.int().positive() });
const bucketsCase = z.object({
  "relative_position(key-query)": z.array(z.int()),
  bidirectional: z.array(z.int()),
  causal: z.array(z.int()),
});

/**
 * Runs every case of a folder made with Transformers on the backend that is set: subfolders with a `case.json` and
 * `tensors.safetensors` (a checkpoint beside them: forward pass and gradients; none: Adafactor steps), and
 * `relative_position_buckets.json`.
 *
 * @param precision of the models, all of which were made in float32
 */
export async function* goldenCases(
  directory: string,
  precision: ModelConfig["precision"] = "float32",
): AsyncGenerator<GoldenResult> {
  const entries = await readdir(directory, { withFileTypes: true }).catch((error: Error) => {
    throw new MswitchError("no folder of golden cases", {
      code: "golden-unreadable",
      where: directory,
      why: error.message,
    });
  });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(directory, entry.name);
    let differences: GoldenDifference[];
    if (entry.isDirectory()) {
      const files = await readdir(path);
      if (!files.includes("case.json")) continue;
      differences = files.includes("config.json") ? await checkModel(path, precision) : await checkAdafactor(path);
    } else if (entry.name === "relative_position_buckets.json") {
      differences = checkBuckets(bucketsCase.parse(JSON.parse(await readFile(path, "utf8"))));
    } else continue;
    // Written so that NaN fails.
    yield { name: entry.name, differences, passed: differences.every(({ relative, limit }) => relative <= limit) };
  }
}

async function checkModel(directory: string, precision: ModelConfig["precision"]): Promise<GoldenDifference[]> {
  const expected = modelCase.parse(JSON.parse(await readFile(join(directory, "case.json"), "utf8")));
  const loaded = await loadModel(directory);
  // Their gradients are of the cross-entropy alone.
  const config = { ...withoutAuxiliary(loaded.config), precision };
  const limit = limits[precision === "float32" ? "float32" : "bfloat16"];
  const golden = await openSafetensors(join(directory, "tensors.safetensors"));
  const batch: ModelBatch = {
    inputs: tf.tensor2d(maskedIds(expected.input_ids, expected.attention_mask), undefined, "int32"),
    targets: tf.tensor2d(
      expected.labels.map((row) => row.map((id) => Math.max(id, 0))),
      undefined,
      "int32",
    ),
  };
  try {
    const values = new Largest("logits", limit.value);
    const ours = logits(config, loaded.params, batch);
    values.add("logits", await ours.data<"float32">(), await golden.readFloat("logits"));
    ours.dispose();

    const step = lossAndGradients(config, loaded.params, batch, { seed: 0, step: 0 });
    const crossEntropy = new Largest("cross-entropy", limit.value);
    crossEntropy.add("cross_entropy", await step.crossEntropy.data<"float32">(), [expected.cross_entropy]);
    const gradients = new Largest("gradients", limit.gradient);
    const norms = new Largest("gradient norms", limit.gradientNorm);
    for (const [name, { parameter, expert, shape, copy }] of checkpointTensors(config)) {
      if (copy) continue;
      const size = tf.util.sizeFromShape(shape);
      const all = await step.gradients.get(parameter)!.data<"float32">();
      const own = all.subarray((expert ?? 0) * size, ((expert ?? 0) + 1) * size);
      // No gradient in the file: an expert that no token chose.
      gradients.add(name, own, golden.tensors.has(`grad.${name}`) ? await golden.readFloat(`grad.${name}`) : [0]);
      norms.add(name, [Math.hypot(...own)], [expected.grad_norms[name] ?? 0]);
    }
    disposeStep(step);
    return [values, crossEntropy, gradients, norms].map((largest) => largest.difference);
  } finally {
    disposeParameters(loaded.params);
    tf.dispose([batch.inputs, batch.targets]);
    await golden.close();
  }
}

/** Padding is what the ids say here, and what a mask says there: a case must agree on it. */
function maskedIds(inputIds: number[][], attentionMask: number[][]): number[][] {
  if (inputIds.some((row, i) => row.some((id, j) => (id !== 0) !== (attentionMask[i][j] === 1)))) {
    throw new MswitchError("a case whose attention mask is not that of its padding cannot be checked", {
      code: "golden-invalid",
    });
  }
  return inputIds;
}

function withoutAuxiliary(config: ModelConfig): ModelConfig {
  return {
    ...config,
    dropout: 0,
    switch: config.switch && { ...config.switch, auxLossWeight: 0, zLossWeight: 0, jitter: 0, expertDropout: 0 },
  };
}

async function checkAdafactor(directory: string): Promise<GoldenDifference[]> {
  const { lr, steps } = adafactorCase.parse(JSON.parse(await readFile(join(directory, "case.json"), "utf8")));
  const golden = await openSafetensors(join(directory, "tensors.safetensors"));
  const read = async (name: string): Promise<tf.Tensor> => {
    const entry = golden.tensors.get(name);
    return tf.tensor(await golden.readFloat(name), entry!.shape);
  };
  const largest = new Largest("parameters", valueLimit);
  try {
    for (const name of parameterNames(golden)) {
      const initial = await read(`param.${name}.0`);
      const param = tf.variable(initial);
      initial.dispose();
      const state = new Map<string, tf.Variable>();
      for (const [slot, shape] of adafactorStateShapes(param.shape)) {
        state.set(
          slot,
          tf.tidy(() => tf.variable(tf.zeros(shape))),
        );
      }
      for (let step = 1; step <= steps; step++) {
        const gradient = await read(`grad.${name}.${step}`);
        adafactor().update([{ param, gradient, state }], { learningRate: lr, step: step - 1 });
        gradient.dispose();
        const theirs = await golden.readFloat(`param.${name}.${step}`);
        largest.add(`${name} after step ${step}`, await param.data<"float32">(), theirs);
      }
      tf.dispose([param, ...state.values()]);
    }
  } finally {
    await golden.close();
  }
  return [largest.difference];
}

function parameterNames(golden: SafetensorsFile): string[] {
  return [...golden.tensors.keys()].flatMap((name) => /^param\.(.+)\.0$/.exec(name)?.[1] ?? []);
}

function checkBuckets(expected: z.infer<typeof bucketsCase>): GoldenDifference[] {
  const largest = new Largest("buckets", 0);
  const positions = expected["relative_position(key-query)"];
  for (const direction of ["bidirectional", "causal"] as const) {
    const options = { bidirectional: direction === "bidirectional", buckets: 32, maxDistance: 128 };
    const ours = positions.map((position) => relativePositionBucket(position, options));
    largest.add(direction, ours, expected[direction]);
  }
  return [largest.difference];
}

/** Keeps the largest relative difference seen and where it was. */
class Largest {
  readonly difference: GoldenDifference;

  constructor(kind: string, limit: number) {
    this.difference = { kind, tensor: "", relative: 0, limit };
  }

  add(tensor: string, ours: ArrayLike<number>, theirs: ArrayLike<number>): void {
    const isAbsent = theirs.length === 1 && theirs[0] === 0;
    if (ours.length !== theirs.length && !isAbsent) {
      throw new MswitchError(`${tensor} has ${ours.length} values, the golden case ${theirs.length}`, {
        code: "golden-invalid",
      });
    }
    let most = 0;
    let scale = 0;
    for (let i = 0; i < ours.length; i++) {
      const reference = isAbsent ? 0 : theirs[i];
      const difference = Math.abs(ours[i] - reference);
      if (!(difference <= most)) most = difference;
      scale = Math.max(scale, Math.abs(reference));
    }
    // Where theirs is all zeros, ours must be too.
    const relative = most === 0 ? 0 : most / scale;
    if (!(relative <= this.difference.relative)) Object.assign(this.difference, { tensor, relative });
  }
}
