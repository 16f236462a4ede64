import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { describeFastPath, expectFast, isOnGpu } from "../../test/helpers/fastPaths.js";
import { expectClose, expectGradients, random, rowsOf, testBackends } from "../../test/helpers/tensors.js";
import { loadBackend } from "../backends/loadBackend.js";
import {
  linearCrossEntropy,
  linearCrossEntropyReference,
  linearLogProbs,
  linearLogProbsReference,
} from "./linearCrossEntropy.js";
import { precision } from "./precision.js";

describe.each(testBackends)("linearCrossEntropy on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  const targets = (): tf.Tensor1D => tf.tensor1d([2, 0, 6, 2], "int32");
  const weights = (): tf.Tensor1D => tf.tensor1d([1, 1, 0, 0.5]);

  /** −ln p of each row's target, in double precision. */
  function nats(hidden: number[][], weight: number[][], target: number[]): number[] {
    return hidden.map((row, n) => {
      const logits = weight.map((out) => out.reduce((sum, value, i) => sum + value * row[i], 0));
      const top = Math.max(...logits);
      return top + Math.log(logits.reduce((sum, l) => sum + Math.exp(l - top), 0)) - logits[target[n]];
    });
  }

  it("is the weighted mean of −ln p(target)", () => {
    const hidden = random([4, 3], 1) as tf.Tensor2D;
    const weight = random([7, 3], 2) as tf.Tensor2D;
    const each = nats(rowsOf(hidden), rowsOf(weight), [2, 0, 6, 2]);
    const loss = linearCrossEntropy(hidden, weight, targets(), weights()).dataSync();
    expectClose(loss, [(each[0] + each[1] + 0.5 * each[3]) / 2.5]);
    expectClose(
      linearLogProbs(hidden, weight, targets()).dataSync(),
      each.map((value) => -value),
    );
  });

  it("has the right gradients", () => {
    const f = (hidden: tf.Tensor, weight: tf.Tensor): tf.Tensor =>
      linearCrossEntropy(hidden as tf.Tensor2D, weight as tf.Tensor2D, targets(), weights());
    expectGradients(f, [random([4, 3], 1), random([7, 3], 2)]);
  });

  it("is exact for targets so unlikely that their probability underflows", () => {
    const hidden = tf.tensor2d([[200, 0]]);
    const weight = tf.tensor2d([
      [1, 0],
      [-1, 0],
      [0, 1],
    ]);
    const target = tf.tensor1d([1], "int32");
    expectClose(linearLogProbs(hidden, weight, target).dataSync(), [-400]);
    const [dHidden] = tf.grads((h: tf.Tensor) =>
      linearCrossEntropy(h as tf.Tensor2D, weight, target, tf.tensor1d([1])),
    )([hidden]);
    expectClose(dHidden.dataSync(), [2, 0]);
  });

  it("without any real token is 0 with gradient 0, not NaN", () => {
    const none = tf.zeros([4]) as tf.Tensor1D;
    const f = (h: tf.Tensor): tf.Tensor =>
      linearCrossEntropy(h as tf.Tensor2D, random([7, 3], 2) as tf.Tensor2D, targets(), none);
    const { value, grad } = tf.valueAndGrad(f)(random([4, 3], 1));
    expect(Math.abs(value.dataSync()[0])).toBe(0);
    expect([...grad.dataSync()].every((x) => x === 0)).toBe(true);
  });

  it("is the same whether the logits fit at once or in chunks, even and odd", () => {
    const inputs = [random([4, 3], 1), random([7, 3], 2)];
    const run = (maxLogits: number) => {
      const f = (hidden: tf.Tensor, weight: tf.Tensor): tf.Tensor =>
        linearCrossEntropy(hidden as tf.Tensor2D, weight as tf.Tensor2D, targets(), weights(), maxLogits);
      const { value, grads } = tf.valueAndGrads(f)(inputs);
      const logProbs = linearLogProbs(inputs[0] as tf.Tensor2D, inputs[1] as tf.Tensor2D, targets(), maxLogits);
      return [value, ...grads, logProbs].map((tensor) => tensor.dataSync());
    };
    const whole = run(28);
    for (const maxLogits of [1, 14, 21]) {
      for (const [i, values] of run(maxLogits).entries()) expectClose(values, whole[i]);
    }
  });
});

describeFastPath("linearCrossEntropy's fast path", () => {
  const [tokens, width, vocab] = [37, 20, 301];
  const target = (): tf.Tensor1D =>
    tf.tensor1d(
      Int32Array.from({ length: tokens }, (_, n) => (n * 71) % vocab),
      "int32",
    );
  const weight = (): tf.Tensor1D => tf.tensor1d(Array.from({ length: tokens }, (_, n) => [1, 0.5, 0][n % 3]));

  it.each([[undefined], [vocab], [10 * vocab]])("is the reference, at most %s logits at once", (maxLogits) => {
    const inputs = [random([tokens, width], 1), random([vocab, width], 2)];
    for (const bfloat16 of [null, [0], [0, 1]]) {
      expectFast(
        (h, w) => linearCrossEntropy(h as tf.Tensor2D, w as tf.Tensor2D, target(), weight(), maxLogits),
        (h, w) => linearCrossEntropyReference(h as tf.Tensor2D, w as tf.Tensor2D, target(), weight()),
        inputs,
        bfloat16,
      );
    }
    const [h, w] = inputs as tf.Tensor2D[];
    const expected = linearLogProbsReference(h, w, target()).dataSync();
    expectClose(linearLogProbs(h, w, target(), maxLogits).dataSync(), expected);
    expectClose(linearLogProbs(precision(h, "bfloat16"), w, target(), maxLogits).dataSync(), expected, 2e-2);
  });

  it.each(["float32", "bfloat16"] as const)("shows a weight that is no number, in %s", (kind) => {
    const values = random([vocab, width], 2).dataSync().slice();
    values[5 * width] = Number.NaN;
    const h = precision(random([tokens, width], 1) as tf.Tensor2D, kind);
    const loss = linearCrossEntropy(h, precision(tf.tensor2d(values, [vocab, width]), kind), target(), weight());
    expect(loss.dataSync()[0]).toBeNaN();
  });

  it("scales its gradients by what follows", () => {
    const loss = (h: tf.Tensor): tf.Tensor =>
      tf.mul(linearCrossEntropy(h as tf.Tensor2D, random([vocab, width], 2) as tf.Tensor2D, target(), weight()), 3);
    const reference = (h: tf.Tensor): tf.Tensor =>
      tf.mul(
        linearCrossEntropyReference(h as tf.Tensor2D, random([vocab, width], 2) as tf.Tensor2D, target(), weight()),
        3,
      );
    const h = random([tokens, width], 1);
    expectClose(tf.grad(loss)(h).dataSync(), tf.grad(reference)(h).dataSync());
  });

  it("without any real token is 0 with gradient 0", () => {
    const f = (h: tf.Tensor, w: tf.Tensor): tf.Tensor =>
      linearCrossEntropy(h as tf.Tensor2D, w as tf.Tensor2D, target(), tf.zeros([tokens]));
    const { value, grads } = tf.valueAndGrads(f)([random([tokens, width], 1), random([vocab, width], 2)]);
    expect(Math.abs(value.dataSync()[0])).toBe(0);
    for (const grad of grads) expect(grad.dataSync().every((x) => x === 0)).toBe(true);
  });

  it("refuses a target outside of the vocabulary; on a GPU, which is not waited for, the loss is no number", () => {
    const outside = tf.fill([tokens], vocab, "int32") as tf.Tensor1D;
    const [h, w] = [random([tokens, width], 1), random([vocab, width], 2)] as tf.Tensor2D[];
    const lossOf = (): number => linearCrossEntropy(h, w, outside, weight()).dataSync()[0];
    if (isOnGpu) expect(lossOf()).toBeNaN();
    else expect(lossOf).toThrow(/target: value 301/);
  });
});
