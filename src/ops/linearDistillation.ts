import * as tf from "@tensorflow/tfjs-core";
import { precision } from "./precision.js";
import { gatherRows, scatterRows } from "./rows.js";

// N tokens, n tokens of a chunk, D and M the models' dModel, V vocab

/** Most logits of one model alive at once: 128 MiB in float32; some four tensors of that size are. */
const defaultMaxLogits = 2 ** 25;

/** What another model's output layer is applied to, and that layer. */
export interface TeacherOutput {
  /** [N, M] */
  hidden_NM: tf.Tensor2D;
  /** [V, M] */
  head_VM: tf.Tensor2D;
}

export interface DistillationOptions {
  /** Of the teacher's probabilities in the loss, 0 to 1; the targets have the rest. */
  weight: number;
  /** T: logits of both models are divided by it where their probabilities are compared. */
  temperature: number;
  maxLogits?: number;
}

export interface DistillationLoss {
  /** (1 − weight)·hard + weight·T²·soft; has the gradient. */
  loss: tf.Scalar;
  /** Cross-entropy with the targets, natural log. No gradient. */
  hard: tf.Scalar;
  /** Cross-entropy of the softened probabilities with the teacher's. No gradient. */
  soft: tf.Scalar;
}

/**
 * The output layer with a loss of two parts: cross-entropy with the targets, and with a teacher's probabilities (Hinton et al. 2015;
 * Switch paper §4.2: 0.75 and 0.25). Both are means over tokens by `tokenWeight_N`. T² keeps the gradient's size whatever the
 * temperature. Works through the tokens in chunks and takes the gradient along with the value: no tensor [N, V] is ever whole,
 * neither of the teacher nor of the student.
 *
 * @param hidden_ND [N, D]
 * @param head_VD [V, D]
 * @param target_N int32 [N]
 * @param tokenWeight_N weight of each token, 0 where padding, [N]
 * @param teacher of the same tokens; has no gradient
 */
export function linearDistillation(
  hidden_ND: tf.Tensor2D,
  head_VD: tf.Tensor2D,
  target_N: tf.Tensor1D,
  tokenWeight_N: tf.Tensor1D,
  teacher: TeacherOutput,
  { weight, temperature, maxLogits = defaultMaxLogits }: DistillationOptions,
): DistillationLoss {
  const [vocab] = head_VD.shape;
  let parts: { hard: tf.Scalar; soft: tf.Scalar } | undefined;
  const op = tf.customGrad((hidden, head, save) => {
    const share_N = tf.div(tokenWeight_N, tf.maximum(tf.sum(tokenWeight_N), 1)) as tf.Tensor1D;
    const targetRows = scatterRows(tf.mul(hidden as tf.Tensor, tf.expandDims(share_N, 1)), target_N, vocab);
    let dHead_VD: tf.Tensor = tf.mul(targetRows, weight - 1);
    let [hard, soft]: tf.Tensor[] = [tf.scalar(0), tf.scalar(0)];
    const dHidden: tf.Tensor[] = [];
    for (const [begin, size] of chunks(hidden_ND.shape[0], vocab, maxLogits)) {
      const [hardSum, softSum, dHeadSum, dHidden_nD] = tf.tidy(() => {
        const hidden_nD = tf.slice(hidden as tf.Tensor2D, begin, size);
        const target_n = tf.slice(target_N, begin, size);
        const share_n = tf.slice(share_N, begin, size);
        const share_n1 = tf.expandDims(share_n, 1);
        const targetWeight_nD = gatherRows(head as tf.Tensor2D, target_n);
        const targetLogit_n = tf.sum(tf.mul(hidden_nD, targetWeight_nD), 1);
        // In turn, so that as few tensors as can be are as large as the logits.
        const [hard_n, soft_n, dLogits_nV] = tf.tidy(() => {
          const teacher_nM = tf.slice(teacher.hidden_NM, begin, size);
          const q_nV = tf.tidy(() =>
            tf.softmax(tf.div(tf.matMul(precision(teacher_nM, "float32"), teacher.head_VM, false, true), temperature)),
          );
          const logits_nV = tf.matMul(hidden_nD, head as tf.Tensor2D, false, true);
          const p_nV = tf.softmax(logits_nV);
          const softened_nV = temperature === 1 ? logits_nV : tf.div(logits_nV, temperature);
          const pSoft_nV = temperature === 1 ? p_nV : tf.softmax(softened_nV);
          return [
            tf.sub(logPartition(logits_nV, p_nV), targetLogit_n),
            tf.sub(logPartition(softened_nV, pSoft_nV), tf.sum(tf.mul(q_nV, softened_nV), 1)),
            // d/d logits of the soft part is T²·(p − q)/T.
            tf.add(tf.mul(p_nV, 1 - weight), tf.mul(tf.sub(pSoft_nV, q_nV), weight * temperature)),
          ];
        });
        const scaled_nV = tf.mul(dLogits_nV, share_n1);
        return [
          tf.add(hard, tf.sum(tf.mul(hard_n, share_n))),
          tf.add(soft, tf.sum(tf.mul(soft_n, share_n))),
          tf.add(dHead_VD, tf.matMul(scaled_nV, hidden_nD, true, false)),
          tf.sub(tf.matMul(scaled_nV, head as tf.Tensor2D), tf.mul(targetWeight_nD, tf.mul(share_n1, 1 - weight))),
        ];
      });
      tf.dispose([hard, soft, dHead_VD]);
      [hard, soft, dHead_VD] = [hardSum, softSum, dHeadSum];
      dHidden.push(dHidden_nD);
    }
    parts = { hard: tf.keep(hard) as tf.Scalar, soft: tf.keep(soft) as tf.Scalar };
    (save as tf.GradSaveFunc)([tf.concat(dHidden, 0), dHead_VD]);
    return {
      value: tf.add(tf.mul(hard, 1 - weight), tf.mul(soft, weight * temperature ** 2)),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => saved.map((gradient) => tf.mul(gradient, dy)),
    };
  });
  const loss = op(precision(hidden_ND, "float32"), head_VD) as tf.Scalar;
  return { loss, ...parts! };
}

/** ln Σ e^logit of each row, from its softmax: logit − ln p, taken at the likeliest. */
function logPartition(logits_nV: tf.Tensor, probs_nV: tf.Tensor): tf.Tensor {
  return tf.sub(tf.max(logits_nV, 1), tf.log(tf.max(probs_nV, 1)));
}

/** [begin, size] of even runs of tokens whose logits fit. */
function chunks(tokens: number, vocab: number, maxLogits: number): [number, number][] {
  const count = Math.max(Math.ceil((tokens * vocab) / maxLogits), 1);
  const size = Math.ceil(tokens / count);
  const out: [number, number][] = [];
  for (let begin = 0; begin < tokens; begin += size) out.push([begin, Math.min(size, tokens - begin)]);
  return out;
}
