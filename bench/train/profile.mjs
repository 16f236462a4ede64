// Where a step's time goes: forward and backward apart, and the time inside each TensorFlow.js kernel.

/**
 * Watches one step. `end()` gives { forwardSeconds, optimizerSeconds, kernels: [{ name, calls, seconds }] }, longest first, and stops
 * watching.
 *
 * @param synchronize waits for the device, so that a kernel's time is its own
 * @param isOptimizer whether a kernel of this name is the optimizer's
 */
export function watchKernels(tf, synchronize, isOptimizer) {
  const engine = tf.engine();
  const { runKernel, gradients } = engine;
  const kernels = new Map();
  const open = [];
  let forwardSeconds = 0;
  const now = () => performance.now() / 1e3;

  engine.runKernel = (name, inputs, attrs) => {
    open.push(0);
    synchronize();
    const started = now();
    try {
      return runKernel.call(engine, name, inputs, attrs);
    } finally {
      synchronize();
      const seconds = now() - started;
      const inside = open.pop();
      if (open.length > 0) open[open.length - 1] += seconds;
      const entry = kernels.get(name) ?? { name, calls: 0, seconds: 0 };
      kernels.set(name, { name, calls: entry.calls + 1, seconds: entry.seconds + seconds - inside });
    }
  };
  // variableGrads runs the forward pass as the first thing inside `gradients`.
  engine.gradients = (forward, ...rest) =>
    gradients.call(
      engine,
      () => {
        const started = now();
        const value = forward();
        forwardSeconds += now() - started;
        return value;
      },
      ...rest,
    );
  return {
    end() {
      // The methods are the prototype's: what was set above goes.
      delete engine.runKernel;
      delete engine.gradients;
      const all = [...kernels.values()].sort((a, b) => b.seconds - a.seconds);
      const optimizerSeconds = all.reduce((sum, { name, seconds }) => sum + (isOptimizer(name) ? seconds : 0), 0);
      return { forwardSeconds, optimizerSeconds, kernels: all };
    },
  };
}
