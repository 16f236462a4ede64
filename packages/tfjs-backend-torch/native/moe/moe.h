#pragma once

#include <ATen/ATen.h>

#include <utility>
#include <vector>

#include "t5/dropout.h"

// The sparse layers, the output layer's loss and the optimizer as plain functions of tensors. Each runs on the CPU by its own
// loops and elsewhere by ATen calls, chosen by where its first tensor lies. No dtype is asked of a tensor but float32 or
// bfloat16; indices are int32.
//
// N tokens = G groups of S, E experts, C slots of an expert (all groups), D dModel, F dFf, V vocab
namespace tfjs_torch {

struct RouterOptions {
  int64_t groups;
  int64_t capacity;  // of an expert in one group
  bool ignorePadding;
  int64_t rows;  // sequences, for counts
};

struct Routing {
  at::Tensor gate;        // [N] probability of the chosen expert, 0 where not routed
  at::Tensor balance;     // [] E/G · Σ f·P over groups
  at::Tensor z;           // [] mean of logZ² over routed tokens
  at::Tensor slot;        // int32 [N] expert·G·capacity + group·capacity + position; E·G·capacity where there is no place
  at::Tensor load;        // [E] share of the routed tokens, before capacity
  at::Tensor dropped;     // [] share of the routed tokens without a place
  at::Tensor confidence;  // [] mean gate of the routed tokens
  at::Tensor counts;      // [rows, E] real routed tokens of each sequence that chose each expert
  at::Tensor occupied;    // int32 [E, G] slots in use: the first ones of each group
  // For the gradient:
  at::Tensor probs;   // [N, E]
  at::Tensor expert;  // int32 [N], -1 where not routed
  at::Tensor logZ;    // [N]
  at::Tensor share;   // [G, E] d balance / d probability
};

// logits [N, E], real [N] (1 or 0). Computes in float32; bfloat16 logits give probabilities rounded to bfloat16.
Routing route(const at::Tensor& logits, const at::Tensor& real, const RouterOptions& options);

// d logits [N, E] of dGate [N], dBalance [], dZ [].
at::Tensor routeGradient(const at::Tensor& dGate, const at::Tensor& dBalance, const at::Tensor& dZ, const at::Tensor& probs,
                         const at::Tensor& expert, const at::Tensor& logZ, const at::Tensor& share);

// x [N, D] to [slots, D] by slot int32 [N] (`slots`: nowhere); slots without a token are 0.
at::Tensor dispatch(const at::Tensor& x, const at::Tensor& slot, int64_t slots);
// gate·y[slot], [N, D]; 0 for a token without a slot. Without a gate (undefined) it is dispatch's gradient.
at::Tensor combine(const at::Tensor& y, const at::Tensor& slot, const at::Tensor& gate);
// dY [slots, D] and dGate [N] of combine.
std::pair<at::Tensor, at::Tensor> combineGradient(const at::Tensor& d, const at::Tensor& y, const at::Tensor& slot, const at::Tensor& gate);

// Weights in: [E, F, D] each, one (ReLU) or two (gelu(first) ⊙ second). Weight out: [E, D, F].
struct Experts {
  std::vector<at::Tensor> in;
  at::Tensor out;
};
// Slots [E, C, D]. `occupied` int32 [E, G] (or undefined: all) says which of an expert's slots hold a token; the rest are
// taken to be 0 and are not computed. Returns y [E, C, D] and, for the gradient, one pre-activation [E, C, F] for each weight
// in, whose rows are the occupied slots in order.
// `dropout` is of the hidden activations [E, C, F].
std::vector<at::Tensor> expertFeedForward(const at::Tensor& slots, const at::Tensor& occupied, const Experts& weights,
                                          const Dropout& dropout);
// dSlots, then dIn…, dOut. Weights' gradients have the slots' dtype and carry their optim/square_sums.h where those are at hand.
std::vector<at::Tensor> expertFeedForwardGradient(const at::Tensor& d, const at::Tensor& slots, const at::Tensor& occupied,
                                                  const Experts& weights, const std::vector<at::Tensor>& pre, const Dropout& dropout);

struct CrossEntropy {
  at::Tensor loss;     // []
  at::Tensor dHidden;  // [N, D]
  at::Tensor dWeight;  // [V, D]
};
// Σ w·(−ln p(target)) / max(Σ w, 1) with its gradients. hidden [N, D], weight [V, D], target int32 [N], tokenWeight [N].
CrossEntropy linearCrossEntropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& target, const at::Tensor& tokenWeight,
                                int64_t maxLogits);
// ln p(target), [N].
at::Tensor linearLogProbs(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& target, int64_t maxLogits);

// One parameter of Adafactor, taken as a stack of matrices [stack, rows, columns] that are each factored, clipped and scaled
// on their own. Factored: first = row moments [stack, rows], second = column moments [stack, columns]. Else first = full
// moments and second is undefined. All but the gradient are float32 and changed in place.
struct AdafactorParameter {
  at::Tensor value, gradient, first, second;
  int64_t stack, rows, columns;
};
// `rates`, float32 [3]: learning rate, β, what gradients are multiplied by. Nothing changes where a value of `guard` (float32) is not
// finite. Both lie with the parameters: a recorded step reads them anew each time.
void adafactor(const std::vector<AdafactorParameter>& parameters, const at::Tensor& rates, const at::Tensor& guard);

// Σ of squares over all tensors, float32 [].
at::Tensor sumOfSquares(const std::vector<at::Tensor>& tensors);

}  // namespace tfjs_torch
