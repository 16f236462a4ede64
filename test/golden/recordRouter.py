"""Records what T5X's router computes (flaxformer, `TokensChooseMaskedRouter`): test/golden/t5xRouter.json.

usage: PYTHONPATH=FLAXFORMER python test/golden/recordRouter.py   (Python with jax and flax; FLAXFORMER a checkout of google/flaxformer)

Of each case: inputs [G, S, D] and the router's kernel [D, E]; for each token and expert the weight with which the expert's output counts, and the
token's place in the expert (-1: none); the balance loss; and the gradients of Σ weights · factors + balance by inputs and kernel.
"""

import json
import os
import sys
from unittest.mock import MagicMock

import jax
import jax.numpy as jnp
import numpy as np

# flaxformer imports quantized layers that no router uses.
sys.modules.update({name: MagicMock() for name in ("aqt", "aqt.jax_legacy", "aqt.jax_legacy.jax")})
from flaxformer.architectures.moe import routing  # noqa: E402

GROUPS, TOKENS, WIDTH, EXPERTS = 2, 8, 4, 5
rng = np.random.default_rng(1)


def case(selected: int, capacity: int) -> dict:
    x = rng.normal(size=(GROUPS, TOKENS, WIDTH)).astype(np.float32)
    kernel = rng.normal(size=(WIDTH, EXPERTS)).astype(np.float32)
    factors = rng.normal(size=(GROUPS, TOKENS, EXPERTS)).astype(np.float32)
    router = routing.TokensChooseMaskedRouter(
        router_weights=None,
        jitter_noise=0.0,
        dtype=jnp.float32,
        ignore_padding_tokens=False,
        num_selected_experts=selected,
        batch_prioritized_routing=False,
    )

    def route(x, kernel):
        probabilities = jax.nn.softmax(jnp.einsum("gsd,de->gse", x, kernel), axis=-1)
        return router._compute_routing_instructions(probabilities, None, capacity)

    def weights(x, kernel):
        return jnp.sum(route(x, kernel).combine_array, axis=-1)

    def objective(x, kernel):
        return jnp.sum(weights(x, kernel) * factors) + route(x, kernel).auxiliary_loss

    routed = route(x, kernel)
    dispatch = np.asarray(routed.dispatch_mask)
    place = np.where(dispatch.any(-1), dispatch.argmax(-1), -1)
    dx, dkernel = jax.grad(objective, argnums=(0, 1))(x, kernel)
    lists = {"x": x, "kernel": kernel, "factors": factors, "weights": weights(x, kernel), "place": place, "dx": dx, "dkernel": dkernel}
    return {
        "selected": selected,
        "capacity": capacity,
        "balance": float(routed.auxiliary_loss),
        **{name: np.asarray(value).tolist() for name, value in lists.items()},
    }


with open(os.path.join(os.path.dirname(__file__), "t5xRouter.json"), "w") as file:
    json.dump([case(2, 4), case(2, 2), case(3, 3), case(1, 2)], file)
    file.write("\n")
