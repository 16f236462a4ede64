import * as tf from "@tensorflow/tfjs-core";
import { fastKernel, fastOp } from "./fastPath.js";
import { gatherRows, scatterRows } from "./rows.js";

// N tokens, n tokens of a chunk, D dModel, V vocab

/** Most logits alive at once (128 MiB in float32): at mT5's vocabulary of 250112 that is 134 tokens. */
const defaultMaxLogits = 2 ** 25;

/** The same for a fast path, which has no other tensor of the logits' size beside them. */
const fastMaxLogits = 2 ** 26;

/**
 * The output layer and its cross-entropy in one: Σ w·(−ln p(target)) / Σ w, natural log. Works through the tokens in chunks and
 * takes the gradient along with the value, so that [N, V] is never whole and no logit is computed twice.
 *
 * @param hidden_ND [N, D]
 * @param weight_VD [V, D]
 * @param target_N int32 [N]
 * @param tokenWeight_N weight of each token, 0 where padding, [N]
 */
export function linearCrossEntropy(
  hidden_ND: tf.Tensor2D,
  weight_VD: tf.Tensor2D,
  target_N: tf.Tensor1D,
  tokenWeight_N: tf.Tensor1D,
  maxLogits?: number,
): tf.Scalar {
  const kernel = fastKernel("TorchLinearCrossEntropy");
  const scale = fastKernel("TorchScale");
  if (!kernel || !scale) return linearCrossEntropyReference(hidden_ND, weight_VD, target_N, tokenWeight_N, maxLogits);
  return fastOp(
    [hidden_ND, weight_VD],
    () => {
      const inputs = { hidden: hidden_ND, weight: weight_VD, target: target_N, tokenWeight: tokenWeight_N };
      const [loss, ...saved] = kernel(inputs, { maxLogits: maxLogits ?? fastMaxLogits });
      return { value: loss as tf.Scalar, saved };
    },
    (dy, gradients) => gradients.map((gradient) => scale({ x: gradient, factor: dy })[0]),
  );
}

/** What the fast path is held to. */
export function linearCrossEntropyReference(
  hidden_ND: tf.Tensor2D,
  weight_VD: tf.Tensor2D,
  target_N: tf.Tensor1D,
  tokenWeight_N: tf.Tensor1D,
  maxLogits = defaultMaxLogits,
): tf.Scalar {
  const vocab = weight_VD.shape[0];
  const op = tf.customGrad((hidden, weight, save) => {
    const share_N = tf.div(tokenWeight_N, tf.maximum(tf.sum(tokenWeight_N), 1)) as tf.Tensor1D;
    let loss: tf.Tensor = tf.scalar(0);
    let dWeight_VD: tf.Tensor = tf.neg(
      scatterRows(tf.mul(hidden as tf.Tensor, tf.expandDims(share_N, 1)), target_N, vocab),
    );
    const dHidden: tf.Tensor2D[] = [];
    for (const [begin, size] of chunks(hidden_ND.shape[0], vocab, maxLogits)) {
      const [lossPart, dHiddenPart, dWeightSum] = tf.tidy(() => {
        const hidden_nD = tf.slice(hidden as tf.Tensor2D, begin, size);
        const target_n = tf.slice(target_N, begin, size);
        const share_n = tf.slice(share_N, begin, size);
        const { logProb_n, probs_nV, targetWeight_nD } = chunkLogProbs(hidden_nD, weight as tf.Tensor2D, target_n);
        // d(−ln p)/d logits = p − onehot(target); the one-hot's part is gathered and scattered rather than written out.
        const share_n1 = tf.expandDims(share_n, 1);
        const dLogits_nV = tf.mul(probs_nV, share_n1);
        return [
          tf.sub(loss, tf.sum(tf.mul(logProb_n, share_n))),
          tf.sub(tf.matMul(dLogits_nV, weight as tf.Tensor2D), tf.mul(targetWeight_nD, share_n1)) as tf.Tensor2D,
          tf.add(dWeight_VD, tf.matMul(dLogits_nV, hidden_nD, true, false)),
        ];
      });
      loss.dispose();
      dWeight_VD.dispose();
      loss = lossPart;
      dWeight_VD = dWeightSum;
      dHidden.push(dHiddenPart as tf.Tensor2D);
    }
    (save as tf.GradSaveFunc)([tf.concat2d(dHidden, 0), dWeight_VD]);
    return {
      value: loss,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => saved.map((gradient) => tf.mul(gradient, dy)),
    };
  });
  return op(hidden_ND, weight_VD) as tf.Scalar;
}

/** ln p(target) of each token, [N]; for evaluation, without gradient. */
export function linearLogProbs(
  hidden_ND: tf.Tensor2D,
  weight_VD: tf.Tensor2D,
  target_N: tf.Tensor1D,
  maxLogits?: number,
): tf.Tensor1D {
  const kernel = fastKernel("TorchLinearLogProbs");
  if (!kernel) return linearLogProbsReference(hidden_ND, weight_VD, target_N, maxLogits);
  const inputs = { hidden: hidden_ND, weight: weight_VD, target: target_N };
  return kernel(inputs, { maxLogits: maxLogits ?? fastMaxLogits })[0] as tf.Tensor1D;
}

/** What the fast path is held to. */
export function linearLogProbsReference(
  hidden_ND: tf.Tensor2D,
  weight_VD: tf.Tensor2D,
  target_N: tf.Tensor1D,
  maxLogits = defaultMaxLogits,
): tf.Tensor1D {
  return tf.tidy(() => {
    const parts = chunks(hidden_ND.shape[0], weight_VD.shape[0], maxLogits).map(([begin, size]) =>
      tf.tidy(() => {
        const hidden_nD = tf.slice(hidden_ND, begin, size);
        return chunkLogProbs(hidden_nD, weight_VD, tf.slice(target_N, begin, size)).logProb_n;
      }),
    );
    return tf.concat1d(parts);
  });
}

function chunkLogProbs(hidden_nD: tf.Tensor2D, weight_VD: tf.Tensor2D, target_n: tf.Tensor1D) {
  const logits_nV = tf.matMul(hidden_nD, weight_VD, false, true);
  const probs_nV = tf.softmax(logits_nV);
  // ln Z = logit − ln p for any piece; the likeliest has p ≥ 1/V, so this is as stable as the usual form, and softmax is
  // vectorised where exp is not.
  const logZ_n = tf.sub(tf.max(logits_nV, 1), tf.log(tf.max(probs_nV, 1)));
  const targetWeight_nD = gatherRows(weight_VD, target_n);
  const targetLogit_n = tf.sum(tf.mul(hidden_nD, targetWeight_nD), 1);
  return { logProb_n: tf.sub(targetLogit_n, logZ_n) as tf.Tensor1D, probs_nV, targetWeight_nD };
}

/** [begin, size] of even runs of tokens whose logits fit. */
function chunks(tokens: number, vocab: number, maxLogits: number): [number, number][] {
  const count = Math.ceil((tokens * vocab) / maxLogits);
  const size = Math.ceil(tokens / Math.max(count, 1));
  const out: [number, number][] = [];
  for (let begin = 0; begin < tokens; begin += size) out.push([begin, Math.min(size, tokens - begin)]);
  return out;
}
