import { totalmem } from "node:os";
import { gpuMemory } from "../backends/gpuMemory.js";
import type { Backend } from "../backends/loadBackend.js";
import { usageError } from "../base/errors.js";
import { formatBytes } from "../base/format.js";
import { isSparse, type ModelConfig } from "../model/config.js";
import type { ExampleLengths } from "../stream/batch.js";

const bytesPerNumber = 4;

/** WebAssembly's addresses have 32 bits. */
const wasmBytes = 2 ** 32;

/**
 * A lower bound of the bytes that a training step takes: weights, their gradients, and of the activations those that every
 * implementation must keep for the way back. The real need is larger, by a factor of about two.
 */
export function leastMemory(
  model: ModelConfig,
  parameters: number,
  batchSize: number,
  lengths: ExampleLengths,
  backend: Backend["name"],
): number {
  // torch alone has fast paths and bfloat16.
  const isFast = backend.startsWith("torch");
  const { dModel, dFf, dKv, heads, encoderLayers, decoderLayers, precision } = model;
  const inner = heads * dKv;
  const matrices = model.feedForward === "relu" ? 1 : 2;
  // Queries, keys, values and the result, and the probabilities, which a fast path computes again.
  const attention = (length: number, memory: number): number =>
    2 * inner * (length + memory) + (isFast ? 0 : heads * length * memory);
  const layers = (count: number, length: number, attentions: number): number => {
    let total = 0;
    for (let layer = 0; layer < count; layer++) {
      // An expert layer's slots are about the dense layer's tokens; those it drops are left out here.
      const hidden = isSparse(model, layer) ? 0 : matrices * dFf * length;
      total += attentions + hidden + 2 * dModel * length;
    }
    return total;
  };
  const { inputs, targets } = lengths;
  const activations =
    layers(encoderLayers, inputs, attention(inputs, inputs)) +
    layers(decoderLayers, targets, attention(targets, targets) + attention(targets, inputs));
  const copies = isFast && precision !== "float32" ? 0.5 : 1;
  return bytesPerNumber * ((1 + copies) * parameters + copies * batchSize * activations);
}

/**
 * Refuses what cannot fit, before anything is allocated: on a GPU into its memory, where `nvidia-smi` tells how much that is, else into
 * the machine's.
 */
export function requireMemory(need: number, backend: Omit<Backend, "tf">, batchSize: number): void {
  const limit = memoryLimit(backend);
  if (need <= limit) return;
  throw usageError(`a batch of ${batchSize} examples does not fit`, {
    code: "batch-too-large",
    why: `model and batch take at least ${formatBytes(need)}, the ${backend.name} backend has at most ${formatBytes(limit)} here`,
    hint: "Lower stream.batchSize or stream.inputLength, take a smaller model, or another backend.",
  });
}

function memoryLimit({ name, cudaDevice }: Omit<Backend, "tf">): number {
  if (cudaDevice !== undefined) return gpuMemory(cudaDevice) ?? Number.POSITIVE_INFINITY;
  // Inside a container the limit is its own; 0 and absurd values mean none.
  const constrained = process.constrainedMemory();
  const machine = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return name === "wasm" ? Math.min(machine, wasmBytes) : machine;
}
