"""The best training loops we can write by hand in JAX: data on the device, state given away.

A loop is either one scan over the epoch or one call for each step; XLA's loops on the processor
are no place for convolutions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hand_written.jax_nets import build

BATCH = 64
RATE, WEIGHT_DECAY, CLIPPING, EPSILON = 1e-3, 0.004, 1.0, 1e-7


def epoch_function(
    name: str, variant: str, arrays: tuple[np.ndarray, np.ndarray]
) -> Callable[[], int]:
    """Return a function that trains one epoch and returns how many examples it had.

    Args:
        name: The net.
        variant: What makes up the loop, as `sides.HAND_WRITTEN` lists it.
        arrays: Inputs and labels.
    """
    words = variant.split()
    dtype = jnp.bfloat16 if "bf16" in words else jnp.float32
    parameters, state, forward = build(name)
    x, y = (jnp.asarray(array) for array in arrays)
    key = jax.random.key(1, impl="rbg" if "rbg" in words else None)

    def loss_of(parameters: Any, state: Any, x: Any, y: Any, key: Any) -> Any:
        logits, state = forward(parameters, state, x, key, dtype)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], -1)
        return -chosen.mean(), state

    def step(carry: Any, indices: Any) -> Any:
        parameters, state, means, squares, count, key = carry
        key, own = jax.random.split(key)
        some_x, some_y = (array.at[indices].get(mode="promise_in_bounds") for array in (x, y))
        differentiate = jax.value_and_grad(loss_of, has_aux=True)
        (loss, state), gradients = differentiate(parameters, state, some_x, some_y, own)
        norm = jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(gradients)))
        factor = jnp.minimum(1.0, CLIPPING / norm)
        count = count + 1
        rate = RATE * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        gradients = jax.tree.map(lambda g: g * factor, gradients)
        means = jax.tree.map(lambda m, g: m + 0.1 * (g - m), means, gradients)
        squares = jax.tree.map(lambda s, g: s + 0.001 * (g * g - s), squares, gradients)
        parameters = jax.tree.map(
            lambda p, m, s: p * (1 - RATE * WEIGHT_DECAY) - rate * m / (jnp.sqrt(s) + EPSILON),
            parameters,
            means,
            squares,
        )
        return (parameters, state, means, squares, count, key), loss

    many = jax.jit(lambda carry, order: jax.lax.scan(step, carry, order), donate_argnums=0)
    single = jax.jit(step, donate_argnums=0)
    zeros = [jax.tree.map(jnp.zeros_like, parameters) for _ in range(2)]
    carry = (parameters, state, *zeros, jnp.float32(0), key)
    generator = np.random.default_rng(0)

    def epoch() -> int:
        nonlocal carry
        order = generator.permutation(len(x)).astype(np.int32).reshape(-1, BATCH)
        if "scan" in words:
            carry, _ = many(carry, order)
        else:
            for indices in order:
                carry, _ = single(carry, indices)
        jax.block_until_ready(carry)
        return len(x)

    return epoch
