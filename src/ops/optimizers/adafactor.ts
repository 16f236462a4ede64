import * as tf from "@tensorflow/tfjs-core";
import { fastKernel } from "../fastPath.js";

/** The second moments of one parameter, by slot: `row` and `column` where factored, `full` where not. Float32. */
export type AdafactorState = ReadonlyMap<string, tf.Variable>;

export interface AdafactorOptions {
  learningRate: number;
  /** From 0: β = 1 − (step + 1)^−0.8. */
  step: number;
}

/** One parameter of a step. */
export interface AdafactorParameter {
  param: tf.Variable;
  gradient: tf.Tensor;
  /** Of the shapes that `adafactorStateShapes` gives; zeros at the start. */
  state: AdafactorState;
}

/** Added to g². */
const epsilonGradient = 1e-30;
/** Least RMS a parameter is taken to have: what is 0 can still move. */
const epsilonParameter = 1e-3;
const decayExponent = 0.8;
const clippingThreshold = 1;
/** Both axes must be this long for a matrix's moments to be factored (T5X, Mesh TensorFlow). */
const defaultMinFactoredSize = 128;

/**
 * Shapes of a parameter's state by slot. A third axis in front is a stack of experts, each factored on its own.
 *
 * @param minFactoredSize factor only where both of the last two axes have at least this many entries
 */
export function adafactorStateShapes(
  shape: readonly number[],
  minFactoredSize = defaultMinFactoredSize,
): Map<string, number[]> {
  const [rows, columns] = shape.slice(-2);
  if (shape.length < 2 || Math.min(rows, columns) < minFactoredSize) return new Map([["full", [...shape]]]);
  const stack = shape.slice(0, -2);
  return new Map([
    ["row", [...stack, rows]],
    ["column", [...stack, columns]],
  ]);
}

/**
 * Adafactor as T5X has it (Shazeer & Stern 2018): factored second moments, updates clipped at RMS 1 and scaled by the parameter's own
 * RMS, no momentum, no weight decay. Stacked experts are factored, clipped and scaled each on its own.
 *
 * Changes parameters and moments, in place where the backend can; leaves no tensor behind.
 */
export function adafactor(parameters: readonly AdafactorParameter[], options: AdafactorOptions): void {
  if (!fastKernel("TorchAdafactor")) {
    for (const { param, gradient, state } of parameters) adafactorUpdate(param, gradient, state, options);
    return;
  }
  tf.tidy(() => adafactorGuarded(parameters, tf.tensor1d(adafactorRates(options)), tf.scalar(0)));
}

/** What a step needs to know beside its gradients: learning rate and β, [2]. */
export function adafactorRates({ learningRate, step }: AdafactorOptions): Float32Array {
  return Float32Array.of(learningRate, betaAt(step));
}

const betaAt = (step: number): number => 1 - (step + 1) ** -decayExponent;

/**
 * The same where the backend does it in place, with all that changes from step to step in tensors, so that the step can be recorded.
 *
 * @param rates_2 see `adafactorRates`
 * @param guard nothing changes where one of its values is not finite
 */
export function adafactorGuarded(
  parameters: readonly AdafactorParameter[],
  rates_2: tf.Tensor1D,
  guard: tf.Tensor,
): void {
  const kernel = fastKernel("TorchAdafactor");
  if (!kernel) throw new Error("internal: Adafactor in place is of the torch backend alone");
  const tensors: tf.Tensor[] = [rates_2, guard];
  const layout: number[] = [];
  for (const { param, gradient, state } of parameters) {
    const [rows, columns] = param.rank < 2 ? [1, param.size] : param.shape.slice(-2);
    const moments = state.has("full") ? [state.get("full")!] : [state.get("row")!, state.get("column")!];
    for (const variable of [param, ...moments]) own(variable);
    tensors.push(param, gradient, ...moments);
    layout.push(param.size / (rows * columns), rows, columns, moments.length - 1);
  }
  kernel(Object.fromEntries(tensors.entries()), { layout });
}

/** Gives a variable data of its own where another tensor has the same, and would change with it. */
function own(variable: tf.Variable): void {
  if (tf.engine().backend.refCount(variable.dataId) > 1) tf.tidy(() => variable.assign(tf.add(variable, 0)));
}

/** One parameter's step: what the fast path is held to. */
export function adafactorUpdate(
  param: tf.Variable,
  gradient: tf.Tensor,
  state: AdafactorState,
  { learningRate, step }: AdafactorOptions,
): void {
  tf.tidy(() => {
    const beta = betaAt(step);
    const g2 = tf.add(tf.square(gradient), epsilonGradient);
    const moment = (slot: string, latest: tf.Tensor): tf.Tensor => {
      const variable = state.get(slot)!;
      const value = tf.add(tf.mul(variable, beta), tf.mul(latest, 1 - beta));
      variable.assign(value);
      return value;
    };

    let update: tf.Tensor;
    if (state.has("full")) {
      update = tf.mul(gradient, tf.rsqrt(moment("full", g2)));
    } else {
      const row = moment("row", tf.mean(g2, -1));
      const column = moment("column", tf.mean(g2, -2));
      const rowFactor = tf.rsqrt(tf.div(row, tf.mean(row, -1, true)));
      update = tf.mul(tf.mul(gradient, tf.expandDims(rowFactor, -1)), tf.expandDims(tf.rsqrt(column), -2));
    }

    const own = param.rank === 3 ? [1, 2] : undefined;
    const rms = (x: tf.Tensor): tf.Tensor => tf.sqrt(tf.mean(tf.square(x), own, true));
    const clip = tf.maximum(tf.div(rms(update), clippingThreshold), 1);
    const rate = tf.mul(tf.maximum(rms(param), epsilonParameter), learningRate);
    param.assign(tf.sub(param, tf.mul(update, tf.div(rate, clip))));
  });
}
