import { execFileSync } from "node:child_process";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { describeTorch } from "../../test/helpers/fastPaths.js";
import { expectClose, expectGradients, random, testBackends } from "../../test/helpers/tensors.js";
import { loadBackend } from "../backends/loadBackend.js";
import { linearCrossEntropy } from "./linearCrossEntropy.js";
import { type DistillationOptions, linearDistillation } from "./linearDistillation.js";

const [tokens, vocab, student, teacher] = [6, 9, 4, 5];
const target = [3, 0, 8, 1, 0, 5];
const tokenWeight = [1, 1, 1, 0, 1, 0];

/** The inputs of every test; the caller disposes of them. */
const inputs = () => ({
  hidden: random([tokens, student], 1) as tf.Tensor2D,
  head: random([vocab, student], 2) as tf.Tensor2D,
  taught: {
    hidden_NM: random([tokens, teacher], 3) as tf.Tensor2D,
    head_VM: random([vocab, teacher], 4) as tf.Tensor2D,
  },
});

/** On the test's targets. */
function lossOf(
  hidden: tf.Tensor,
  head: tf.Tensor,
  taught: ReturnType<typeof inputs>["taught"],
  options: DistillationOptions,
) {
  const [ids, weights] = [tf.tensor1d(target, "int32"), tf.tensor1d(tokenWeight)];
  return linearDistillation(hidden as tf.Tensor2D, head as tf.Tensor2D, ids, weights, taught, options);
}

/** Loss, its parts, and the gradients of hidden and head. */
function computed(options: DistillationOptions): { loss: number[]; dHidden: number[]; dHead: number[] } {
  return tf.tidy(() => {
    const { hidden, head, taught } = inputs();
    const parts: tf.Scalar[] = [];
    const { value, grads } = tf.valueAndGrads((x: tf.Tensor, w: tf.Tensor) => {
      const { loss, hard, soft } = lossOf(x, w, taught, options);
      parts.push(hard, soft);
      return loss;
    })([hidden, head]);
    const result = {
      loss: [value, ...parts].map((x) => x.dataSync()[0]),
      dHidden: [...grads[0].dataSync()],
      dHead: [...grads[1].dataSync()],
    };
    tf.dispose(parts);
    return result;
  });
}

const settings: DistillationOptions[] = [
  { weight: 0.25, temperature: 1 },
  { weight: 0.25, temperature: 2 },
  { weight: 1, temperature: 0.7 },
  { weight: 0, temperature: 1 },
];

const script = `
import json, sys, torch
import torch.nn.functional as F
job = json.load(sys.stdin)
x, w = (torch.tensor(job[key], dtype=torch.float64, requires_grad=True) for key in ("hidden", "head"))
target, weight = torch.tensor(job["target"]), torch.tensor(job["tokenWeight"], dtype=torch.float64)
teacher = torch.tensor(job["teacherHidden"], dtype=torch.float64) @ torch.tensor(job["teacherHead"], dtype=torch.float64).T
out = []
for setting in job["settings"]:
    t, a = setting["temperature"], setting["weight"]
    logits = x @ w.T
    hard = (F.cross_entropy(logits, target, reduction="none") * weight).sum() / weight.sum()
    soft = (F.cross_entropy(logits / t, F.softmax(teacher / t, -1), reduction="none") * weight).sum() / weight.sum()
    loss = (1 - a) * hard + a * t * t * soft
    dx, dw = torch.autograd.grad(loss, (x, w))
    out.append({"loss": [loss.item(), hard.item(), soft.item()], "dHidden": dx.flatten().tolist(), "dHead": dw.flatten().tolist()})
print(json.dumps(out))
`;

/** Everything that is computed here is what PyTorch computes in float64, to 1e-5 of the largest value. */
function equalsPyTorch(): void {
  it.skipIf(!process.env.MSWITCH_PYTHON)("is PyTorch's loss and gradients to 1e-5", () => {
    const { hidden, head, taught } = inputs();
    const job = {
      ...{ hidden: hidden.arraySync(), head: head.arraySync(), target, tokenWeight, settings },
      ...{ teacherHidden: taught.hidden_NM.arraySync(), teacherHead: taught.head_VM.arraySync() },
    };
    tf.dispose([hidden, head, taught.hidden_NM, taught.head_VM]);
    const answer = execFileSync(process.env.MSWITCH_PYTHON!, ["-c", script], { input: JSON.stringify(job) });
    const expected = JSON.parse(answer.toString()) as ReturnType<typeof computed>[];
    for (const [i, options] of settings.entries()) {
      for (const maxLogits of [undefined, 2 * vocab]) {
        const { loss, dHidden, dHead } = computed({ ...options, maxLogits });
        expectClose(loss, expected[i].loss);
        expectClose(dHidden, expected[i].dHidden);
        expectClose(dHead, expected[i].dHead);
      }
    }
  });
}

describe.each(testBackends)("linearDistillation on %s", (backend) => {
  beforeAll(async () => {
    await loadBackend(backend);
  });
  equalsPyTorch();

  it.each(settings)("has the gradient of its value: %o", (options) => {
    const { taught, hidden, head } = inputs();
    const f = (x: tf.Tensor, w: tf.Tensor): tf.Tensor => {
      const { loss, hard, soft } = lossOf(x, w, taught, options);
      tf.dispose([hard, soft]);
      return loss;
    };
    expectGradients(f, [hidden, head]);
    tf.dispose([hidden, head, taught.hidden_NM, taught.head_VM]);
  });

  it("is the cross-entropy alone where the teacher weighs nothing, and frees all", () => {
    const before = tf.memory().numTensors;
    const { loss } = computed({ weight: 0, temperature: 3 });
    const { hidden, head, taught } = inputs();
    const plain = tf.tidy(() =>
      linearCrossEntropy(hidden, head, tf.tensor1d(target, "int32"), tf.tensor1d(tokenWeight)).dataSync(),
    );
    tf.dispose([hidden, head, taught.hidden_NM, taught.head_VM]);
    expectClose(loss.slice(0, 2), [plain[0], plain[0]]);
    expect(tf.memory().numTensors).toBe(before);
  });
});

describeTorch("linearDistillation on torch", equalsPyTorch);
