"""Configuration of an mswitch model: a T5 whose sparse feed-forward layers are experts behind a top-1 router."""

from transformers import T5Config


class MSwitchConfig(T5Config):
    """
    T5's keys, and under ``mswitch`` the model's own configuration as mswitch wrote it. Of that the model here needs
    ``switch.experts``, ``switch.every`` (layers every-1, 2*every-1, ... of both stacks are sparse), ``tieEmbeddings`` and
    ``relativeBiasPerLayer``.
    """

    model_type = "mswitch"
