import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, it } from "vitest";
import { describeFastPath, expectFast } from "../../../test/helpers/fastPaths.js";
import { expectClose, expectGradients, random, testBackends } from "../../../test/helpers/tensors.js";
import { loadBackend } from "../../backends/loadBackend.js";
import { type FeedForwardWeights, feedForward } from "../feedForward.js";
import { precision } from "../precision.js";
import { expertFeedForward, expertFeedForwardReference } from "./expertFeedForward.js";

describe.each(testBackends)("expertFeedForward on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  const shapes = { x: [3, 4, 5], wi: [3, 6, 5], wo: [3, 5, 6] };

  it.each(["relu", "gated-gelu"] as const)("is each expert's own %s feed-forward layer", (kind) => {
    const x = random(shapes.x, 1) as tf.Tensor3D;
    const [wi0, wi1, wo] = [random(shapes.wi, 2), random(shapes.wi, 3), random(shapes.wo, 4)];
    const weights = (pick: (w: tf.Tensor) => tf.Tensor) =>
      kind === "relu" ? { kind, wi: pick(wi0), wo: pick(wo) } : { kind, wi0: pick(wi0), wi1: pick(wi1), wo: pick(wo) };
    const apart = tf.stack(
      [0, 1, 2].map((expert) => {
        const own = (t: tf.Tensor): tf.Tensor => tf.unstack(t)[expert];
        return feedForward(own(x), weights(own));
      }),
    );
    expectClose(
      expertFeedForward(
        x,
        weights((w) => w),
      ).dataSync(),
      apart.dataSync(),
    );
  });

  it("has the right gradients", () => {
    const inputs = [random(shapes.x, 1), random(shapes.wi, 2), random(shapes.wi, 3), random(shapes.wo, 4)];
    expectGradients(
      (x, wi0, wi1, wo) => expertFeedForward(x as tf.Tensor3D, { kind: "gated-gelu", wi0, wi1, wo }),
      inputs,
    );
  });
});

describeFastPath("the experts' fast path", () => {
  const weightsOf = (kind: string, [wi0, wi1, wo]: tf.Tensor[]): FeedForwardWeights =>
    kind === "relu" ? { kind, wi: wi0, wo } : { kind: "gated-gelu", wi0, wi1, wo };

  // Enough experts to go side by side on two threads, and too few; sides that have products of few rows, and others.
  it.each([
    ["relu", 2, 24, 40, 3],
    ["gated-gelu", 3, 24, 40, 3],
    ["relu", 9, 24, 40, 3],
    ["gated-gelu", 9, 24, 40, 3],
    ["relu", 2, 64, 128, 11],
    ["gated-gelu", 9, 128, 64, 11],
    ["gated-gelu", 4, 64, 64, 35],
  ])("is the reference: %s, %i experts, slots that are all in use and that are not", (kind, experts, ...sizes) => {
    const [width, hidden, places] = sizes;
    const x = random([experts, 2 * places, width], 1);
    // Two groups of slots; expert 1 has none in use.
    const counts = Array.from({ length: experts }, (_, e) => (e === 1 ? [0, 0] : [(e * places) % 4, (e + 2) % 4]));
    const inUse = tf.tensor3d(
      counts.map((own) => own.flatMap((n) => Array.from({ length: places }, (_, i) => [i < n ? 1 : 0]))),
    );
    const used = tf.tensor2d(counts, undefined, "int32");
    // What bfloat16 holds: a weight that is rounded on the way would move a ReLU's input to the other side of 0.
    const scale = (tensor: tf.Tensor): tf.Tensor => precision(precision(tf.mul(tensor, 0.2), "bfloat16"), "float32");
    const weights = [
      scale(random([experts, hidden, width], 2)),
      scale(random([experts, hidden, width], 3)),
      scale(random([experts, width, hidden], 4)),
    ].filter((_, i) => kind !== "relu" || i !== 1);
    const all = (given: tf.Tensor[]) => weightsOf(kind, kind === "relu" ? [given[0], given[0], given[1]] : given);
    const drop = () => ({ rate: 0.4, key: { seed: 3, place: "experts", step: tf.tensor1d([5], "int32") } });
    for (const bfloat16 of [null, [0]]) {
      expectFast(
        (slots, ...given) =>
          tf.mul(expertFeedForward(tf.mul(slots, inUse) as tf.Tensor3D, all(given), drop(), used), inUse),
        (slots, ...given) =>
          tf.mul(expertFeedForwardReference(tf.mul(slots, inUse) as tf.Tensor3D, all(given), drop()), inUse),
        [x, ...weights],
        bfloat16,
      );
      expectFast(
        (slots, ...given) => expertFeedForward(slots as tf.Tensor3D, all(given)),
        (slots, ...given) => expertFeedForwardReference(slots as tf.Tensor3D, all(given)),
        [x, ...weights],
        bfloat16,
      );
      // Gradients of slots that are not in use are nobody's: the mask takes them off both.
      expectFast(
        (slots, ...given) =>
          tf.mul(expertFeedForward(tf.mul(slots, inUse) as tf.Tensor3D, all(given), undefined, used), inUse),
        (slots, ...given) => tf.mul(expertFeedForwardReference(tf.mul(slots, inUse) as tf.Tensor3D, all(given)), inUse),
        [x, ...weights],
        bfloat16,
      );
    }
  });
});
