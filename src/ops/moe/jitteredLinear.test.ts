import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, it } from "vitest";
import { describeFastPath, expectFast } from "../../../test/helpers/fastPaths.js";
import { expectClose, expectGradients, random, testBackends } from "../../../test/helpers/tensors.js";
import { loadBackend } from "../../backends/loadBackend.js";
import { linear } from "../linear.js";
import { jitter } from "../random/noise.js";
import { type Jitter, jitteredLinear } from "./jitteredLinear.js";

const noise = (): Jitter => ({ amount: 0.3, key: { seed: 3, place: "router", step: tf.tensor1d([5], "int32") } });
const separate = (x: tf.Tensor, weight: tf.Tensor): tf.Tensor => linear(jitter(x, noise().amount, noise().key), weight);
const joined = (x: tf.Tensor, weight: tf.Tensor): tf.Tensor => jitteredLinear(x as tf.Tensor2D, weight, noise());

describe.each(testBackends)("jitteredLinear on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  it("is the linear layer of jittered tokens, with its gradients", () => {
    const inputs = [random([6, 5], 1), random([3, 5], 2)];
    expectClose(joined(inputs[0], inputs[1]).dataSync(), separate(inputs[0], inputs[1]).dataSync());
    expectGradients((x, weight) => joined(x, weight), inputs);
  });
});

describeFastPath("the fast path of jitteredLinear", () => {
  // Tokens of several ranges and of part of one; widths and experts that are whole vectors and that are not.
  it.each([
    [1200, 64, 16],
    [1101, 33, 16],
    [700, 130, 24],
    [5, 64, 16],
    [600, 64, 3],
    [0, 64, 16],
  ])("%i tokens of %i to %i experts: as two operations", (tokens, width, experts) => {
    expectFast(joined, separate, [random([tokens, width], 1), random([experts, width], 2)], []);
  });

  it("takes tokens in bfloat16, whose gradient is bfloat16 too", () => {
    expectFast(joined, separate, [random([300, 64], 1), random([16, 64], 2)], [0]);
  });
});
