import { totalmem } from "node:os";
import { gpuMemory } from "../backends/gpuMemory.js";
import type { Backend } from "../backends/loadBackend.js";
import { type MswitchError, usageError } from "../base/errors.js";
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
 *
 * @param least a lower bound of the bytes that a step of so many rows takes
 */
export function requireMemory(least: (rows: number) => number, backend: Omit<Backend, "tf">, rows: number): void {
  const limit = memoryLimit(backend);
  if (least(rows) <= limit) return;
  // The real need is about twice the bound.
  const largest = Math.floor((limit / 2 - least(0)) / (least(1) - least(0)));
  throw batchTooLarge({ rows, needed: least(rows), limit, backend: backend.name, largest });
}

/** The error of a batch that memory does not hold. `largest` rows do; below 1 the model itself is too large. */
export function batchTooLarge(memory: {
  rows: number;
  needed: number;
  limit: number;
  backend: string;
  largest: number;
}): MswitchError {
  const { rows, needed, limit, backend, largest } = memory;
  return usageError(`a batch of ${rows} examples does not fit into memory`, {
    code: "batch-too-large",
    why: `model and batch take at least ${formatBytes(needed)}, the ${backend} backend has at most ${formatBytes(limit)} here`,
    hint:
      largest >= 1
        ? `about ${largest} examples fit: lower stream.batchSize or stream.inputLength, or compute the same batch in parts with batch.accumulate: ${accumulateFor(rows, largest)}`
        : "the model alone does not fit: take a smaller one, fewer experts, or another backend",
  });
}

/** The fewest equal parts of a batch of which each has at most so many rows. */
function accumulateFor(rows: number, largest: number): number {
  let parts = Math.ceil(rows / largest);
  while (rows % parts !== 0) parts++;
  return parts;
}

/** Bytes that a backend can have here. */
export function memoryLimit({ name, cudaDevice }: Omit<Backend, "tf">): number {
  if (cudaDevice !== undefined) return gpuMemory(cudaDevice) ?? Number.POSITIVE_INFINITY;
  // Inside a container the limit is its own; 0 and absurd values mean none.
  const constrained = process.constrainedMemory();
  const machine = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return name === "wasm" ? Math.min(machine, wasmBytes) : machine;
}
