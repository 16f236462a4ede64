import type { TensorInfo } from "@tensorflow/tfjs-core";
import { type KernelTable, kernel } from "./kernel.js";
import type { Precision } from "./precision.js";

/** Inputs that are there, in the given order: an absent one is left out. */
function present(inputs: Record<string, TensorInfo>, names: readonly string[]): TensorInfo[] {
  return names.flatMap((name) => inputs[name] ?? []);
}

interface AttentionAttrs {
  heads: number;
  causal: boolean;
}

const attentionOperands = ["query", "memory", "position", "real"] as const;
/** What `TorchAttention` gives after its value and takes back, the last two in cross-attention only. */
const attentionSaved = ["context", "stats", "wo", "projected", "wIn", "projectedMemory", "wMemory"] as const;

function attentionParams({ memory, position, real }: Record<string, TensorInfo>, { heads, causal }: AttentionAttrs) {
  return [memory != null, causal, heads, position != null, real != null];
}

/**
 * The layers of a T5, each with its gradient: native/ops_attention.cc, ops_feedforward.cc and ops_embedding.cc say which inputs
 * and results. A first result is the layer's value, those after it are for the gradient.
 */
export const transformerKernels: KernelTable = {
  TorchEmbedding: kernel<{ precision: Precision }>((backend, { table, ids }, { precision }) =>
    backend.op("Embedding", [table!, ids!], [precision === "bfloat16"]),
  ),
  TorchEmbeddingGrad: kernel<{ rows: number }>((backend, { dy, ids }, { rows }) =>
    backend.op("EmbeddingGrad", [dy!, ids!], [rows]),
  ),
  TorchResidual: (backend, { x, y }) => backend.op("Residual", [x!, y!]),
  TorchLinear: (backend, { x, weight }) => backend.ops("Linear", [x!, weight!]),
  TorchLinearGrad: (backend, { dy, x, weight }) => backend.ops("LinearGrad", [dy!, x!, weight!]),
  TorchFeedForward: (backend, inputs) => backend.ops("FeedForward", present(inputs, ["x", "wi0", "wi1", "wo"])),
  TorchFeedForwardGrad: (backend, { dy, x, h, wi, wo }) => backend.ops("FeedForwardGrad", [dy!, x!, h!, wi!, wo!]),
  TorchAttention: kernel<AttentionAttrs>((backend, inputs, attrs) => {
    const operands = present(inputs, [...attentionOperands, "q", "k", "v", "o"]);
    return backend.ops("Attention", operands, attentionParams(inputs, attrs));
  }),
  TorchAttentionGrad: kernel<AttentionAttrs>((backend, inputs, attrs) => {
    const operands = present(inputs, ["dy", ...attentionOperands, ...attentionSaved]);
    return backend.ops("AttentionGrad", operands, attentionParams(inputs, attrs));
  }),
};
