import type { TensorInfo } from "@tensorflow/tfjs-core";
import { type KernelTable, kernel, listOf } from "./kernel.js";

// What each computes is in native/moe.h.

interface RouterAttrs {
  groups: number;
  capacity: number;
  ignorePadding: boolean;
  sequences: number;
}

const present = (...tensors: (TensorInfo | undefined)[]): TensorInfo[] => tensors.filter((x) => x !== undefined);

/** Kernels of Switch layers: routing, tokens to slots and back, the experts' feed-forward layers. */
export const sparseKernels: KernelTable = {
  // → [gate, balance and z in one], slot, occupied, load, dropped, confidence, counts, probs, expert, logZ, share
  TorchRouter: kernel<RouterAttrs>((backend, { logits, real }, { groups, capacity, ignorePadding, sequences }) =>
    backend.ops("SwitchRouter", [logits!, real!], [groups, capacity, ignorePadding, sequences]),
  ),
  TorchRouterGrad: (backend, { dy, probs, expert, logZ, share }) =>
    backend.op("SwitchRouterGrad", [dy!, probs!, expert!, logZ!, share!]),
  TorchDispatch: kernel<{ slots: number }>((backend, { x, slot }, { slots }) =>
    backend.op("SwitchDispatch", [x!, slot!], [slots]),
  ),
  TorchCombine: (backend, { y, slot, gate }) => backend.op("SwitchCombine", present(y, slot, gate)),
  // → dY, dGate
  TorchCombineGrad: (backend, { dy, y, slot, gate }) => backend.ops("SwitchCombineGrad", [dy!, y!, slot!, gate!]),
  // → y, a pre-activation for each weight in; `wi1` only where gated
  TorchExpertFeedForward: (backend, { slots, occupied, wi0, wi1, wo }) =>
    backend.ops("ExpertFeedForward", present(slots, occupied, wi0, wi1, wo), [wi1 !== undefined]),
  // → dSlots, dWi0, [dWi1], dWo
  TorchExpertFeedForwardGrad: (backend, { dy, slots, occupied, wi0, wi1, wo, pre0, pre1 }) =>
    backend.ops("ExpertFeedForwardGrad", present(dy, slots, occupied, wi0, wi1, wo, pre0, pre1), [wi1 !== undefined]),
};

interface UniformAttrs {
  shape: number[];
  low: number;
  high: number;
  /** Four words of 32 bits. */
  state: number[];
}

interface OptimizerAttrs {
  /** Of each parameter in turn: stack, rows, columns, and how many moments it has. */
  layout: number[];
}

interface AdamWAttrs extends OptimizerAttrs {
  beta1: number;
  beta2: number;
  epsilon: number;
  weightDecay: number;
  scaleByParameterRms: boolean;
}

interface MuonAttrs extends OptimizerAttrs {
  momentum: number;
  nesterov: boolean;
  weightDecay: number;
  matchRms: boolean;
}

/** Kernels of noise, of the output layer's loss and of the optimizer. */
export const trainingKernels: KernelTable = {
  // sfc32 from a state on: the same bits as in JavaScript.
  TorchUniform: kernel<UniformAttrs>((backend, _inputs, { shape, low, high, state }) =>
    backend.op("Uniform", [], [low, high, ...state, shape]),
  ),
  // → loss, dHidden, dWeight
  TorchLinearCrossEntropy: kernel<{ maxLogits: number }>(
    (backend, { hidden, weight, target, tokenWeight }, { maxLogits }) =>
      backend.ops("LinearCrossEntropy", [hidden!, weight!, target!, tokenWeight!], [maxLogits]),
  ),
  TorchLinearLogProbs: kernel<{ maxLogits: number }>((backend, { hidden, weight, target }, { maxLogits }) =>
    backend.op("LinearLogProbs", [hidden!, weight!, target!], [maxLogits]),
  ),
  TorchScale: (backend, { x, factor }) => backend.op("ScaleByScalar", [x!, factor!]),
  // The optimizers. Inputs: rates, guard, then value, gradient and moments of each parameter. They change values and moments in
  // place, whoever else shares their data.
  TorchAdafactor: kernel<OptimizerAttrs>((backend, inputs, { layout }) =>
    backend.inPlace("Adafactor", listOf(inputs), layout),
  ),
  TorchAdamW: kernel<AdamWAttrs>((backend, inputs, attrs) => {
    const { beta1, beta2, epsilon, weightDecay, scaleByParameterRms, layout } = attrs;
    return backend.inPlace("AdamW", listOf(inputs), [
      beta1,
      beta2,
      epsilon,
      weightDecay,
      scaleByParameterRms,
      ...layout,
    ]);
  }),
  TorchMuon: kernel<MuonAttrs>((backend, inputs, { momentum, nesterov, weightDecay, matchRms, layout }) =>
    backend.inPlace("Muon", listOf(inputs), [momentum, nesterov, weightDecay, matchRms, ...layout]),
  ),
  TorchSumOfSquares: (backend, inputs) => backend.op("SumOfSquares", listOf(inputs)),
};
