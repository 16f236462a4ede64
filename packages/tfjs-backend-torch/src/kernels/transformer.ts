import type { AttributeValues } from "../signature.js";
import type { NormalDraw } from "../torchBackend.js";
import { type Kernel, type KernelTable, kernel, listOf } from "./kernel.js";

/**
 * Kernels of a transformer's layers that TensorFlow.js does not have: the addon's operations of these names, with the inputs,
 * attributes and results that are declared beside them in C++ (native/t5, moe, optim; `nativeSignatures` gives the declarations). A
 * first result is the layer's value, those after it are for its gradient.
 */
const fusedKernelNames = [
  ...["TorchPrecision", "TorchRmsNorm", "TorchRmsNormGrad", "TorchEmbedding", "TorchEmbeddingGrad", "TorchResidual"],
  ...[
    "TorchLinear",
    "TorchLinearGrad",
    "TorchFeedForward",
    "TorchFeedForwardGrad",
    "TorchAttention",
    "TorchAttentionGrad",
  ],
  ...["TorchRouter", "TorchRouterGrad", "TorchDispatch", "TorchCombine", "TorchCombineGrad", "TorchExpertFeedForward"],
  ...["TorchJitteredLinear", "TorchJitteredLinearGrad"],
  ...["TorchExpertFeedForwardGrad", "TorchNoise", "TorchLinearCrossEntropy", "TorchLinearLogProbs", "TorchScale"],
  ...["TorchAttendBefore", "TorchAttendMemory", "TorchDecodeFeedForward", "TorchPackHead", "TorchLikeliestToken"],
  "TorchCollective",
];

const fused = (name: string): Kernel =>
  kernel<AttributeValues | undefined>((backend, inputs, attributes) => {
    const results = backend.ops(name, inputs, attributes);
    return results.length === 1 ? results[0]! : results;
  });

/**
 * An optimizer's kernel. Inputs: rates, guard, then value, gradient and moments of each parameter. It changes values and moments in
 * place, whoever else shares their data.
 */
const optimizer = (name: string): Kernel =>
  kernel<AttributeValues>((backend, inputs, attributes) => {
    const [rates, guard, ...parameters] = listOf(inputs);
    return backend.inPlace(name, { rates, guard, parameters }, attributes);
  });

export const transformerKernels: KernelTable = {
  ...Object.fromEntries(fusedKernelNames.map((name) => [name, fused(name)])),
  // Also hands x on, which then has one gradient: → y, x, inverse
  TorchRmsNormStream: kernel<AttributeValues>((backend, { x, weight }, attributes) => {
    const [y, inverse] = backend.ops("TorchRmsNorm", { x, weight }, attributes);
    return [y!, backend.reshape(x!, x!.shape), inverse!];
  }),
  // Fresh weights (native/cpu/normals.h); not an operation: it has no inputs, and asks JavaScript for some of them.
  TorchNormals: kernel<{ draws: NormalDraw[] }>((backend, _, { draws }) => backend.normals(draws)),
  TorchAdafactor: optimizer("TorchAdafactor"),
  TorchAdamW: optimizer("TorchAdamW"),
  TorchMuon: optimizer("TorchMuon"),
  TorchSumOfSquares: (backend, inputs) => backend.op("TorchSumOfSquares", { tensors: listOf(inputs) }),
};
