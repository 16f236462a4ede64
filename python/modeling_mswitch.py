"""
mswitch's Switch Transformers for Transformers: T5 1.1 whose tokens go to their best expert (Fedus et al. 2022, section 2.1), or to
several, whose gates then add up to 1.

Every token reaches its expert: there is no capacity, as in mswitch's own evaluation. Training (load balancing, jitter, dropped tokens)
is mswitch's work and not here.
"""

import torch
from torch import nn
from transformers import T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention, T5DenseActDense, T5DenseGatedActDense, T5LayerNorm

from .configuration_mswitch import MSwitchConfig


def _feed_forward(config):
    return T5DenseGatedActDense(config) if config.is_gated_act else T5DenseActDense(config)


class MSwitchRouter(nn.Module):
    """Softmax over experts in float32: of each token the best expert and its probability, or the best k and their shares."""

    def __init__(self, config, experts, k):
        super().__init__()
        self.k = k
        self.classifier = nn.Linear(config.d_model, experts, bias=False)

    def forward(self, tokens):
        logits = nn.functional.linear(tokens.float(), self.classifier.weight.float())
        gates, choices = torch.softmax(logits, dim=-1).topk(self.k, dim=-1)
        return (gates if self.k == 1 else gates / gates.sum(dim=-1, keepdim=True)), choices


class MSwitchSparseFeedForward(nn.Module):
    """Each token through its experts, times their gates; and, without a gate, through the one that all share, if any."""

    def __init__(self, config, experts, k, shared):
        super().__init__()
        self.router = MSwitchRouter(config, experts, k)
        self.experts = nn.ModuleDict({f"expert_{i}": _feed_forward(config) for i in range(experts)})
        self.shared_expert = _feed_forward(config) if shared else None

    def forward(self, hidden_states):
        tokens = hidden_states.reshape(-1, hidden_states.shape[-1])
        gates, choices = self.router(tokens)
        output = torch.zeros_like(tokens) if self.shared_expert is None else self.shared_expert(tokens)
        for i in choices.unique().tolist():
            chosen, rank = (choices == i).nonzero(as_tuple=True)
            expert = self.experts[f"expert_{i}"](tokens[chosen])
            output.index_add_(0, chosen, (expert * gates[chosen, rank, None]).to(output.dtype))
        return output.reshape(hidden_states.shape)


class MSwitchLayerFF(nn.Module):
    """The feed-forward sublayer of a block: x + f(norm(x))."""

    def __init__(self, config, mlp):
        super().__init__()
        self.mlp = mlp
        self.layer_norm = T5LayerNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, hidden_states):
        return hidden_states + self.dropout(self.mlp(self.layer_norm(hidden_states)))


class MSwitchSelfAttention(T5Attention):
    """Self-attention with a position bias of its own, whatever the block below hands over (umT5)."""

    @classmethod
    def like(cls, other):
        attention = cls(other.config, has_relative_attention_bias=True, layer_idx=other.layer_idx)
        attention.is_causal = getattr(other, "is_causal", False)
        return attention

    def forward(self, hidden_states, mask=None, key_value_states=None, position_bias=None, **kwargs):
        return super().forward(hidden_states, mask=mask, key_value_states=key_value_states, position_bias=None, **kwargs)


class MSwitchForConditionalGeneration(T5ForConditionalGeneration):
    config_class = MSwitchConfig

    def __init__(self, config):
        own = config.mswitch
        if own.get("separateInputEmbeddings"):
            raise NotImplementedError("mswitch: separate input embeddings of encoder and decoder are not supported here")
        self._tied_weights_keys = {
            "encoder.embed_tokens.weight": "shared.weight",
            "decoder.embed_tokens.weight": "shared.weight",
            **({"lm_head.weight": "shared.weight"} if own["tieEmbeddings"] else {}),
        }
        super().__init__(config)
        sparse_keys = own["switch"]
        experts, every, k = sparse_keys["experts"], sparse_keys["every"], sparse_keys.get("topK", 1)
        shared = sparse_keys.get("sharedExpert", False)
        for stack in (self.encoder, self.decoder):
            for i, block in enumerate(stack.block):
                sparse = i % every == every - 1
                mlp = MSwitchSparseFeedForward(config, experts, k, shared) if sparse else _feed_forward(config)
                block.layer[-1] = MSwitchLayerFF(config, mlp)
                if own.get("relativeBiasPerLayer"):
                    block.layer[0].SelfAttention = MSwitchSelfAttention.like(block.layer[0].SelfAttention)
        self.post_init()
