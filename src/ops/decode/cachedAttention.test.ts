import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { describeTorch } from "../../../test/helpers/fastPaths.js";
import { expectClose, random, testBackends } from "../../../test/helpers/tensors.js";
import { loadBackend } from "../../backends/loadBackend.js";
import { type AttentionWeights, attention } from "../attention.js";
import { feedForwardReference } from "../feedForward.js";
import { attendBefore, attendMemory, type KeysAndValues, keysAndValues } from "./cachedAttention.js";
import { decodeFeedForward } from "./decodeFeedForward.js";
import { likeliestToken, likeliestTokenReference, outputHead } from "./nextToken.js";

const [rows, heads] = [3, 2];

function weightsOf(width: number, inner: number): AttentionWeights {
  const weight = (shape: number[], seed: number): tf.Tensor => tf.mul(random(shape, seed), width ** -0.5);
  return {
    ...{ q: weight([inner, width], 1), k: weight([inner, width], 2), v: weight([inner, width], 3) },
    o: weight([width, inner], 4),
  };
}

/** Position by position, what attention computes of all at once. */
function equalAttention(width: number, inner: number): void {
  it(`is attention's last row at every length: ${width} to ${inner}`, () => {
    const before = tf.memory().numTensors;
    tf.tidy(() => {
      // More positions than a fast path has room for at first.
      const positions = 40;
      const weights = weightsOf(width, inner);
      const x_BTD = random([rows, positions, width], 5) as tf.Tensor3D;
      const table_LH = random([positions, heads], 6) as tf.Tensor2D;
      const unseen = tf.zeros<tf.Rank.R2>([positions - 1, heads]);
      const position = tf.concat2d([table_LH, unseen], 0);
      const all = attention(x_BTD, x_BTD, weights, heads, { position, causal: true });
      let cache: KeysAndValues | undefined;
      const outputs: tf.Tensor3D[] = [];
      for (let at = 0; at < positions; at++) {
        const x_B1D = tf.slice3d(x_BTD, [0, at, 0], [-1, 1, -1]);
        const bias_LH = tf.slice2d(table_LH, [positions - 1 - at, 0], [at + 1, -1]);
        const step = attendBefore(x_B1D, cache, weights, heads, bias_LH);
        cache = step.cache;
        outputs.push(step.y_B1D);
      }
      expectClose(tf.concat(outputs, 1).dataSync(), all.dataSync(), 2e-5);
    });
    expect(tf.memory().numTensors).toBe(before);
  });

  it(`is cross-attention of one query: ${width} to ${inner}`, () => {
    tf.tidy(() => {
      const weights = weightsOf(width, inner);
      const [x_B1D, memory_BSD] = [random([rows, 1, width], 7), random([rows, 5, width], 8)] as tf.Tensor3D[];
      const real = tf.tensor2d([1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0], [rows, 5]);
      const y = attendMemory(x_B1D, keysAndValues(memory_BSD, weights), weights, heads, real);
      expectClose(y.dataSync(), attention(x_B1D, memory_BSD, weights, heads, { real }).dataSync(), 2e-5);
    });
  });
}

function likeliest(): void {
  it.each([
    [1, 64, 1000],
    [7, 12, 300],
    [2, 6, 50],
    [70, 64, 129],
    [5, 200, 1500],
  ])("the likeliest of %i rows of %i over %i tokens is the argmax", (count, width, vocab) => {
    tf.tidy(() => {
      const head = random([vocab, width], 9) as tf.Tensor2D;
      // Twice the same rows: the first of equals counts.
      const twice = tf.concat2d([head, head], 0);
      const hidden = random([count, width], 10) as tf.Tensor2D;
      const packed = outputHead(twice);
      const ids = [...likeliestToken(hidden, packed).dataSync()];
      expect(ids).toEqual([...likeliestTokenReference(hidden, head).dataSync()]);
    });
  });
}

describe.each(testBackends)("a position at a time on %s", (backend) => {
  beforeAll(async () => {
    await loadBackend(backend);
  });
  equalAttention(8, 12);
  likeliest();
});

describeTorch("a position at a time on torch", () => {
  equalAttention(8, 12);
  equalAttention(64, 128);
  likeliest();

  it.each(["relu", "gated-gelu"] as const)("the feed-forward layer is the reference's: %s", (kind) => {
    tf.tidy(() => {
      const [wi0, wi1, wo] = [random([128, 64], 1), random([128, 64], 2), random([64, 128], 3)];
      const weights = kind === "relu" ? { kind, wi: wi0, wo } : { kind, wi0, wi1, wo };
      const x = tf.mul(random([rows, 1, 64], 4), 0.1) as tf.Tensor3D;
      expectClose(decodeFeedForward(x, weights).dataSync(), feedForwardReference(x, weights).dataSync(), 2e-5);
    });
  });
});
