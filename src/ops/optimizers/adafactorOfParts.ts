import * as tf from "@tensorflow/tfjs-core";
import type { RankGroup } from "../distributed/collectives.js";
import { precision } from "../precision.js";
import { adafactorStateShapes, betaAt, clippingThreshold, epsilonGradient, epsilonParameter } from "./adafactor.js";
import { type OptimizedParameter, type OptimizerAlgorithm, scaledGradient } from "./algorithm.js";

/**
 * Adafactor of parameters that lie in equal parts on the ranks of a group, split along rows or columns: what a whole parameter's means are is
 * summed over the ranks, for all parameters together, in three steps of a few numbers each. The result is that of whole parameters but for
 * rounding.
 */
export function adafactorOfParts(
  group: RankGroup,
  { minFactoredSize }: { minFactoredSize?: number } = {},
): OptimizerAlgorithm {
  return {
    // Of the whole parameter: what is factored does not depend on who holds it.
    stateShapes: (shape) => adafactorStateShapes(shape, minFactoredSize),
    rates: ({ learningRate, step, gradientScale = 1 }) => Float32Array.of(learningRate, betaAt(step), gradientScale),
    updateGuarded() {
      throw new Error("internal: steps of several processes are not recorded");
    },
    update(parameters, place) {
      tf.tidy(() => {
        const beta = betaAt(place.step);
        const average = (variable: tf.Variable, latest: tf.Tensor): tf.Tensor => {
          const value = tf.add(tf.mul(variable, beta), tf.mul(latest, 1 - beta));
          variable.assign(value);
          return value;
        };
        const gradients = parameters.map((parameter) =>
          scaledGradient(precision(parameter.gradient, "float32"), place),
        );
        const squares = gradients.map((gradient) => tf.add(tf.square(gradient), epsilonGradient));
        const isSplit = ({ state, split }: OptimizedParameter, slot: string): boolean =>
          // Means over rows are the moments of columns.
          state.has(slot) && split === (slot === "row" ? "columns" : "rows");

        const means = sumTogether(
          group,
          parameters.map((parameter, i) => ({
            size: meanSquare(parameter.param, group),
            row: isSplit(parameter, "row") ? tf.div(tf.mean(squares[i], -1), group.size) : undefined,
            column: isSplit(parameter, "column") ? tf.div(tf.mean(squares[i], -2), group.size) : undefined,
          })),
        );
        const moments = parameters.map(({ state }, i) => {
          if (state.has("full")) return { full: average(state.get("full")!, squares[i]) };
          return {
            row: average(state.get("row")!, means[i].row ?? tf.mean(squares[i], -1)),
            column: average(state.get("column")!, means[i].column ?? tf.mean(squares[i], -2)),
          };
        });
        const rowMeans = sumTogether(
          group,
          moments.map(({ row }, i) => ({
            mean: row && parameters[i].split === "rows" ? tf.div(tf.mean(row, -1, true), group.size) : undefined,
          })),
        );
        const updates = moments.map(({ full, row, column }, i) => {
          if (full) return tf.mul(gradients[i], tf.rsqrt(full));
          const rowFactor = tf.rsqrt(tf.div(row, rowMeans[i].mean ?? tf.mean(row, -1, true)));
          return tf.mul(tf.mul(gradients[i], tf.expandDims(rowFactor, -1)), tf.expandDims(tf.rsqrt(column), -2));
        });
        const sizes = sumTogether(
          group,
          updates.map((update) => ({ size: meanSquare(update, group) })),
        );
        for (const [i, { param }] of parameters.entries()) {
          const clip = tf.maximum(tf.div(tf.sqrt(sizes[i].size), clippingThreshold), 1);
          const rate = tf.mul(tf.maximum(tf.sqrt(means[i].size), epsilonParameter), place.learningRate);
          param.assign(tf.sub(param, tf.mul(updates[i], tf.div(rate, clip))));
        }
      });
    },
  };
}

/** What a part adds to the mean square of the whole, of each matrix of a stack on its own. */
function meanSquare(part: tf.Tensor, { size }: RankGroup): tf.Tensor {
  return tf.div(tf.mean(tf.square(part), part.rank === 3 ? [1, 2] : undefined, true), size);
}

/** Sums over the ranks, of all tensors in one collective. */
function sumTogether<T extends Record<string, tf.Tensor | undefined>>(group: RankGroup, parts: readonly T[]): T[] {
  const all = parts.flatMap((part) => Object.values(part).filter((x) => x !== undefined));
  if (all.length === 0) return [...parts];
  const flat = group.collective("sum", tf.concat1d(all.map((x) => tf.reshape(x, [-1]) as tf.Tensor1D)));
  const sums = tf.split(
    flat,
    all.map((x) => x.size),
  );
  let at = 0;
  return parts.map((part) => {
    const summed = Object.entries(part).map(([key, x]) => [key, x && tf.reshape(sums[at++], x.shape)]);
    return Object.fromEntries(summed) as T;
  });
}
