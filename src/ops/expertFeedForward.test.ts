import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, it } from "vitest";
import { expectClose, expectGradients, random, testBackends } from "../../test/helpers/tensors.js";
import { loadBackend } from "../backends/loadBackend.js";
import { expertFeedForward } from "./expertFeedForward.js";
import { feedForward } from "./feedForward.js";

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
