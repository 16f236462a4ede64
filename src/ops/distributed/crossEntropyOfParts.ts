import * as tf from "@tensorflow/tfjs-core";
import { idsOfPart } from "../embedding.js";
import { linear } from "../linear.js";
import { precision } from "../precision.js";
import { gatherRows, scatterRows } from "../rows.js";
import { forParts, type RankGroup } from "./collectives.js";

// N tokens, n tokens of a chunk, D dModel, P = V / ranks rows of the vocabulary that a rank has

/** Most logits alive at once on a rank (128 MiB in float32). */
const maxLogits = 2 ** 25;

/**
 * `linearCrossEntropy` of an output layer whose vocabulary is split over the ranks of a group. No rank sees the others' logits: of each
 * token they exchange the largest logit, then the sum of exponentials and the target's logit (Shoeybi et al. 2019, §3).
 *
 * @param hidden_ND [N, D], the same on all ranks
 * @param part_PD this rank's rows of the output layer, in order of rank
 * @param target_N int32 [N]
 * @param tokenWeight_N weight of each token, 0 where padding, [N]
 */
export function crossEntropyOfParts(
  hidden_ND: tf.Tensor2D,
  part_PD: tf.Tensor2D,
  target_N: tf.Tensor1D,
  tokenWeight_N: tf.Tensor1D,
  group: RankGroup,
): tf.Scalar {
  const op = tf.customGrad((hidden, part, save) => {
    const share_N = tf.div(tokenWeight_N, tf.maximum(tf.sum(tokenWeight_N), 1)) as tf.Tensor1D;
    let loss: tf.Tensor = tf.scalar(0);
    let dPart_PD: tf.Tensor = tf.zeros(part_PD.shape);
    const dHidden: tf.Tensor2D[] = [];
    for (const [begin, size] of chunks(hidden_ND.shape[0], part_PD.shape[0])) {
      const [lossSum, dHiddenPart, dPartSum] = tf.tidy(() => {
        const hidden_nD = tf.slice(hidden as tf.Tensor2D, begin, size);
        const share_n = tf.slice(share_N, begin, size);
        const chunk = chunkOfParts(hidden_nD, part as tf.Tensor2D, tf.slice(target_N, begin, size), group);
        const { logProb_n, exp_nP, sum_n, local_n, isHere_n } = chunk;
        // d(−ln p)/d logits = p − onehot(target); the one-hot's part is gathered and scattered rather than written out.
        const dLogits_nP = tf.mul(exp_nP, tf.expandDims(tf.div(share_n, sum_n), 1)) as tf.Tensor2D;
        const hit_n1 = tf.expandDims(tf.mul(share_n, isHere_n), 1);
        const float_nD = precision(hidden_nD, "float32");
        const targetRows_nD = tf.mul(gatherRows(part as tf.Tensor2D, local_n), hit_n1);
        const scattered_PD = scatterRows(tf.mul(float_nD, hit_n1), local_n, part_PD.shape[0]);
        return [
          tf.sub(loss, tf.sum(tf.mul(logProb_n, share_n))),
          tf.sub(tf.matMul(dLogits_nP, part as tf.Tensor2D), targetRows_nD),
          tf.add(dPart_PD, tf.sub(tf.matMul(dLogits_nP, float_nD, true, false), scattered_PD)),
        ];
      });
      tf.dispose([loss, dPart_PD]);
      [loss, dPart_PD] = [lossSum, dPartSum];
      dHidden.push(dHiddenPart as tf.Tensor2D);
    }
    (save as tf.GradSaveFunc)([tf.concat2d(dHidden, 0), dPart_PD]);
    return {
      value: loss,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => saved.map((gradient) => tf.mul(gradient, dy)),
    };
  });
  return op(forParts(hidden_ND, group), part_PD) as tf.Scalar;
}

/**
 * ln p(target) of each token, [N], and 1 where no other token is likelier (else 0); for evaluation, without gradient. Arguments as for
 * `crossEntropyOfParts`.
 */
export function logProbsOfParts(
  hidden_ND: tf.Tensor2D,
  part_PD: tf.Tensor2D,
  target_N: tf.Tensor1D,
  group: RankGroup,
): { logProb_N: tf.Tensor1D; isBest_N: tf.Tensor1D } {
  const parts = chunks(hidden_ND.shape[0], part_PD.shape[0]).map(([begin, size]) =>
    tf.tidy(() => {
      const hidden_nD = tf.slice(hidden_ND, begin, size);
      const { logProb_n, isBest_n } = chunkOfParts(hidden_nD, part_PD, tf.slice(target_N, begin, size), group);
      return [logProb_n, isBest_n];
    }),
  );
  return { logProb_N: tf.concat1d(parts.map(([p]) => p)), isBest_N: tf.concat1d(parts.map(([, best]) => best)) };
}

function chunkOfParts(hidden_nD: tf.Tensor2D, part_PD: tf.Tensor2D, target_n: tf.Tensor1D, group: RankGroup) {
  const { local, isHere } = idsOfPart(target_n, part_PD.shape[0], group);
  const [local_n, isHere_n] = [local as tf.Tensor1D, isHere as tf.Tensor1D];
  const logits_nP = precision(linear(hidden_nD, part_PD), "float32");
  const largest_n = group.collective("max", tf.max(logits_nP, 1) as tf.Tensor1D);
  const exp_nP = tf.exp(tf.sub(logits_nP, tf.expandDims(largest_n, 1)));
  const logit_n = tf.gatherND(logits_nP, tf.stack([tf.range(0, local_n.size, 1, "int32"), local_n], 1)) as tf.Tensor1D;
  const own_2n = tf.stack([tf.sum(exp_nP, 1), tf.mul(tf.sub(logit_n, largest_n), isHere_n)]);
  const [sum_n, above_n] = tf.unstack(group.collective("sum", own_2n)) as tf.Tensor1D[];
  const logProb_n = tf.sub(above_n, tf.log(sum_n)) as tf.Tensor1D;
  const isBest_n = tf.cast(tf.greaterEqual(above_n, 0), "float32") as tf.Tensor1D;
  return { logProb_n, isBest_n, exp_nP, sum_n, local_n, isHere_n };
}

/** [begin, size] of even runs of tokens whose logits fit. */
function chunks(tokens: number, rows: number): [number, number][] {
  const size = Math.ceil(tokens / Math.max(Math.ceil((tokens * rows) / maxLogits), 1));
  const out: [number, number][] = [];
  for (let begin = 0; begin < tokens; begin += size) out.push([begin, Math.min(size, tokens - begin)]);
  return out;
}
