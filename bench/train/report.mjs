// What bench/train.mjs prints of its measurements.

const fixed = (value, digits = 1) => value.toFixed(digits);
const thousands = (value) => Math.round(value).toLocaleString("en");
const percent = (share) => `${fixed(100 * share, 0)} %`;

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

/** A side's steps in one line: what both sides have. */
export function summarise(steps, tokens) {
  const of = (name) => median(steps.map((step) => step[name]));
  const seconds = of("seconds");
  return {
    steps: steps.length,
    secondsPerStep: seconds,
    fastestStep: Math.min(...steps.map((step) => step.seconds)),
    cpuSecondsPerStep: of("cpuSeconds"),
    tokensPerSecond: tokens / seconds,
    tokensPerCpuSecond: tokens / of("cpuSeconds"),
  };
}

function sideLines({ name, info, summary, peakMiB }) {
  const { secondsPerStep, fastestStep, cpuSecondsPerStep, tokensPerSecond } = summary;
  return [
    `  ${name}: ${thousands(tokensPerSecond)} tokens/s, ${fixed(secondsPerStep, 2)} s a step (fastest ${fixed(fastestStep, 2)}, CPU ${fixed(cpuSecondsPerStep, 2)}, ${summary.steps} steps)`,
    `    ${info.description}; ${thousands(info.parameters)} parameters, peak memory ${thousands(peakMiB)} MiB`,
  ];
}

function profileLines({ seconds, forwardSeconds, optimizerSeconds, kernels }, topKernels) {
  const share = (part) => percent(part / seconds);
  const backward = seconds - forwardSeconds - optimizerSeconds;
  const inKernels = kernels.reduce((sum, kernel) => sum + kernel.seconds, 0);
  const top = kernels.slice(0, topKernels).map((kernel) => `${kernel.name} ${share(kernel.seconds)} (${kernel.calls})`);
  const calls = kernels.reduce((sum, kernel) => sum + kernel.calls, 0);
  return [
    `    forward ${share(forwardSeconds)}, backward ${share(backward)}, Adafactor ${share(optimizerSeconds)} of a profiled step of ${fixed(seconds, 2)} s`,
    `    by kernel (calls), ${calls} calls: ${top.join(", ")}, outside kernels ${share(seconds - inKernels)}`,
  ];
}

/** A configuration's result as lines for people. */
export function describe(result) {
  const { config, vocab, precision, feedForward, ours, ceiling, profile, peers, peakFlops } = result;
  const { secondsPerStep } = ours.summary;
  const rate = ours.info.flops / secondsPerStep / 1e9;
  const alone = ours.info.flops / ceiling.seconds / 1e9;
  const mfu = (seconds) => (peakFlops ? `, MFU ${fixed((100 * ours.info.flops) / seconds / peakFlops)} %` : "");
  return [
    `${config}, vocabulary ${vocab}, ${precision}${feedForward === "relu" ? ", ReLU feed-forward as Transformers' Switch" : ""}`,
    ...sideLines({ name: "mswitch", ...ours }),
    `    ${fixed(rate, 0)} GFLOP/s${mfu(secondsPerStep)}; its matrix products alone take ${fixed(ceiling.seconds, 2)} s, ${fixed(alone, 0)} GFLOP/s: the step reaches ${percent(ceiling.seconds / secondsPerStep)} of that (2048 square: ${fixed(ceiling.squareGflops, 0)} GFLOP/s)`,
    ...(ceiling.best.name
      ? [
          `    the best kernels here for these products: ${ceiling.best.name}, ${fixed(ours.info.flops / ceiling.best.seconds / 1e9, 0)} GFLOP/s; those chosen reach ${percent(ceiling.best.seconds / ceiling.seconds)} of that, the step ${percent(ceiling.best.seconds / secondsPerStep)}`,
        ]
      : []),
    ...profileLines(profile, 8),
    ...(result.beside
      ? [
          `    beside ${result.beside.count} busy loops: ${fixed(result.beside.seconds, 2)} s a step, ${fixed(result.beside.ratio, 2)} times as long`,
        ]
      : []),
    ...peers.flatMap((peer) =>
      peer.error
        ? [`  ${peer.name}: did not run: ${peer.error}`]
        : [
            ...sideLines(peer),
            `    in turn with mswitch's steps: mswitch has ${fixed(peer.ratio, 2)}x its tokens/s (${fixed(peer.cpuRatio, 2)}x a CPU second)${peer.note ? `; ${peer.note}` : ""}`,
          ],
    ),
    ...(result.bestTransformers
      ? [`  best of Transformers: ${result.bestTransformers.name}, ratio ${fixed(result.bestTransformers.ratio, 2)}`]
      : []),
    "",
  ];
}

/** Switch against the dense step of the same run, and every number of experts against 8: the paper's constant cost per token. */
export function relations(results) {
  const seconds = (wanted) =>
    results.find((result) => Object.entries(wanted).every(([key, value]) => result[key] === value))?.ours.summary
      .secondsPerStep;
  // With ReLU experts, as beside Transformers, a Switch model has not the FLOPs of the dense one.
  const gated = results.filter(({ feedForward }) => feedForward === "gated-gelu");
  return gated.flatMap(({ config, vocab, precision, ours }) => {
    const base = config === "dense" ? undefined : seconds({ config: "dense", vocab, precision });
    const eight =
      config === "dense" || config === "switch8" ? undefined : seconds({ config: "switch8", vocab, precision });
    const line = (other, name) =>
      other
        ? [`${config} takes ${fixed(ours.summary.secondsPerStep / other, 2)}x ${name} (${vocab}, ${precision})`]
        : [];
    return [...line(base, "the dense step"), ...line(eight, "the step of 8 experts")];
  });
}
