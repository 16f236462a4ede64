import * as tf from "@tensorflow/tfjs-core";

/**
 * Gradients of the kernels through which gradients flow in `ops` and `model`; everything else there takes its gradient itself
 * (`tf.customGrad`). TensorFlow.js has them too, but publishes them in a form that Node cannot import on its own.
 */
const gradients: tf.GradConfig[] = [
  {
    kernelName: "Add",
    inputsToSave: ["a", "b"],
    gradFunc: (dy, [a, b]) => ({ a: () => sumTo(one(dy), a.shape), b: () => sumTo(one(dy), b.shape) }),
  },
  {
    kernelName: "Multiply",
    inputsToSave: ["a", "b"],
    gradFunc: (dy, [a, b]) => ({
      a: () => sumTo(tf.mul(one(dy), b), a.shape),
      b: () => sumTo(tf.mul(one(dy), a), b.shape),
    }),
  },
  {
    kernelName: "BatchMatMul",
    inputsToSave: ["a", "b"],
    gradFunc: (dy, [a, b], attrs) => {
      const { transposeA, transposeB } = attrs as unknown as tf.BatchMatMulAttrs;
      const d = one(dy);
      const da = () => (transposeA ? tf.matMul(b, d, transposeB, true) : tf.matMul(d, b, false, !transposeB));
      const db = () => (transposeB ? tf.matMul(d, a, true, transposeA) : tf.matMul(a, d, !transposeA, false));
      return { a: da, b: db };
    },
  },
  {
    kernelName: "Softmax",
    outputsToSave: [true],
    gradFunc: (dy, [y]) => ({
      logits: () => {
        const dyTimesY = tf.mul(one(dy), y);
        return tf.sub(dyTimesY, tf.mul(y, tf.sum(dyTimesY, -1, true)));
      },
    }),
  },
  { kernelName: "Relu", outputsToSave: [true], gradFunc: (dy, [y]) => ({ x: () => tf.mul(one(dy), tf.step(y)) }) },
  {
    kernelName: "Sum",
    inputsToSave: ["x"],
    gradFunc: (dy, [x], attrs) => ({
      x: () => {
        const axes = tf.util.parseAxisParam((attrs as unknown as tf.SumAttrs).axis, x.shape);
        const kept = x.shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
        return tf.mul(tf.reshape(one(dy), kept), tf.ones(x.shape));
      },
    }),
  },
  { kernelName: "Reshape", inputsToSave: ["x"], gradFunc: (dy, [x]) => ({ x: () => tf.reshape(one(dy), x.shape) }) },
  {
    kernelName: "SplitV",
    gradFunc: (dys, _, attrs) => ({
      x: () => tf.concat(dys as tf.Tensor[], (attrs as unknown as tf.SplitVAttrs).axis),
    }),
  },
  {
    kernelName: "ExpandDims",
    inputsToSave: ["input"],
    gradFunc: (dy, [input]) => ({ input: () => tf.reshape(one(dy), input.shape) }),
  },
  {
    kernelName: "Transpose",
    gradFunc: (dy, _saved, attrs) => {
      const { perm } = attrs as unknown as tf.TransposeAttrs;
      return { x: () => tf.transpose(one(dy), tf.backend_util.getUndoAxesPermutation(perm)) };
    },
  },
];

/** Registers the gradients that nothing has registered yet. */
export function registerGradients(): void {
  for (const config of gradients) {
    if (!tf.getGradient(config.kernelName)) tf.registerGradient(config);
  }
}

function one(dy: tf.Tensor | tf.Tensor[]): tf.Tensor {
  return Array.isArray(dy) ? dy[0] : dy;
}

/** Sums what broadcasting had repeated, so that a gradient takes its operand's shape. */
function sumTo(dy: tf.Tensor, shape: number[]): tf.Tensor {
  const axes = tf.broadcast_util.getReductionAxes(shape, dy.shape);
  return tf.reshape(axes.length > 0 ? tf.sum(dy, axes) : dy, shape);
}
