"""The benchmark's nets as a person would write them in JAX: pure functions of nests of arrays.

Each net is a pair: parameters and state drawn from a key, and a function
(parameters, state, x, key, dtype) -> (logits, new state) that computes in a dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp

NUM_CLASSES = 10
NUM_WORDS = 1000
MOMENTUM = 0.99

Forward = Callable[[Any, Any, jax.Array, jax.Array, Any], tuple[jax.Array, Any]]
Net = tuple[Any, Any, Forward]


class Draw:
    """Draws initial weights, a fresh key for each."""

    def __init__(self) -> None:
        self._key = jax.random.key(0)

    def __call__(self, *shape: int) -> jax.Array:
        """Return normal numbers, scaled by the number of inputs."""
        self._key, key = jax.random.split(self._key)
        return jax.random.normal(key, shape) / math.sqrt(math.prod(shape[:-1]))

    def dense(self, inputs: int, outputs: int) -> tuple[jax.Array, jax.Array]:
        """Return the kernel and the bias of a dense layer."""
        return self(inputs, outputs), jnp.zeros(outputs)


def dense(layer: tuple[jax.Array, jax.Array], x: jax.Array, dtype: Any) -> jax.Array:
    """Return x @ kernel + bias."""
    kernel, bias = layer
    return x.astype(dtype) @ kernel.astype(dtype) + bias.astype(dtype)


def dropout(x: jax.Array, rate: float, key: jax.Array) -> jax.Array:
    """Return x with a share of it zeroed and the rest scaled up."""
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


def batch_norm(
    layer: tuple[jax.Array, jax.Array], moving: tuple[jax.Array, jax.Array], x: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Return x normalised over all axes but the last, and the new moving averages."""
    scale, offset = layer
    axes = tuple(range(x.ndim - 1))
    wide = x.astype(jnp.float32)
    mean, variance = wide.mean(axes), wide.var(axes)
    factor = jax.lax.rsqrt(variance + 1e-3) * scale
    normalised = (wide * factor + (offset - mean * factor)).astype(x.dtype)
    averages = zip(moving, (mean, variance), strict=True)
    new = [old * MOMENTUM + now * (1 - MOMENTUM) for old, now in averages]
    return normalised, (new[0], new[1])


def layer_norm(layer: tuple[jax.Array, jax.Array], x: jax.Array) -> jax.Array:
    """Return x normalised over the last axis."""
    wide = x.astype(jnp.float32)
    mean, variance = wide.mean(-1, keepdims=True), wide.var(-1, keepdims=True)
    normalised = (wide - mean) * jax.lax.rsqrt(variance + 1e-5) * layer[0] + layer[1]
    return normalised.astype(x.dtype)


def _norm(width: int) -> tuple[jax.Array, jax.Array]:
    return jnp.ones(width), jnp.zeros(width)


def _moving(width: int) -> tuple[jax.Array, jax.Array]:
    return jnp.zeros(width), jnp.ones(width)


def mlp() -> Net:
    """Return the dense net."""
    draw = Draw()
    sizes = (50, 256, 128, 64, NUM_CLASSES)
    layers = [draw.dense(a, b) for a, b in pairwise(sizes)]
    parameters = {"dense": layers, "norm": [_norm(256), _norm(128)]}

    def forward(p: Any, state: Any, x: Any, key: Any, dtype: Any) -> Any:
        new = []
        for number, rate in enumerate((0.3, 0.2)):
            x = jax.nn.relu(dense(p["dense"][number], x, dtype))
            x, moving = batch_norm(p["norm"][number], state[number], x)
            x = dropout(x, rate, jax.random.fold_in(key, number))
            new.append(moving)
        x = jax.nn.relu(dense(p["dense"][2], x, dtype))
        return dense(p["dense"][3], x, jnp.float32), new

    return parameters, [_moving(256), _moving(128)], forward


def residual_net(channels: int, stem: int, widths: list[tuple[int, int]]) -> Net:
    """Return a net of residual blocks, channels last."""
    draw = Draw()
    parameters: dict[str, Any] = {"stem": draw(3, 3, channels, stem), "blocks": []}
    parameters["norms"] = [_norm(stem)]
    state = [_moving(stem)]
    for width, stride in widths:
        block = {"first": draw(3, 3, stem, width), "second": draw(3, 3, width, width)}
        if stride > 1 or stem != width:
            block["around"] = draw(1, 1, stem, width)
        parameters["blocks"].append(block)
        parameters["norms"] += [_norm(width), _norm(width)]
        state += [_moving(width), _moving(width)]
        stem = width
    parameters["head"] = draw.dense(stem, NUM_CLASSES)

    def forward(p: Any, state: Any, x: Any, key: Any, dtype: Any) -> Any:
        del key
        new: list[Any] = []

        def convolved(kernel: Any, x: Any, stride: int) -> Any:
            dimensions = ("NHWC", "HWIO", "NHWC")
            return jax.lax.conv_general_dilated(
                x.astype(dtype),
                kernel.astype(dtype),
                (stride, stride),
                "SAME",
                dimension_numbers=dimensions,
            )

        def normalised(x: Any) -> Any:
            x, moving = batch_norm(p["norms"][len(new)], state[len(new)], x)
            new.append(moving)
            return x

        x = jax.nn.relu(normalised(convolved(p["stem"], x, 1)))
        for block, (_, stride) in zip(p["blocks"], widths, strict=True):
            y = jax.nn.relu(normalised(convolved(block["first"], x, stride)))
            y = normalised(convolved(block["second"], y, 1))
            x = jax.nn.relu(y + (convolved(block["around"], x, stride) if "around" in block else x))
        return dense(p["head"], x.mean((1, 2)), jnp.float32), new

    return parameters, state, forward


def lstm() -> Net:
    """Return two stacked LSTMs."""
    draw = Draw()

    def layer(inputs: int, units: int) -> Any:
        return draw(inputs, 4 * units), draw(units, 4 * units), jnp.zeros(4 * units)

    parameters = {"layers": [layer(10, 64), layer(64, 32)], "head": draw.dense(32, NUM_CLASSES)}

    def run(weights: Any, x: Any, dtype: Any) -> Any:
        """Run over the first axis, which is time."""
        kernel, recurrent, bias = (part.astype(dtype) for part in weights)
        units = recurrent.shape[0]
        projected = x.astype(dtype) @ kernel + bias

        def step(carry: Any, inputs: Any) -> Any:
            hidden, cell = carry
            gates = jnp.split(inputs + hidden @ recurrent, 4, axis=-1)
            entry, forget, output = map(jax.nn.sigmoid, (gates[0], gates[1], gates[3]))
            cell = forget * cell + entry * jnp.tanh(gates[2])
            hidden = output * jnp.tanh(cell)
            return (hidden, cell), hidden

        zeros = jnp.zeros((x.shape[1], units), dtype)
        (last, _), all_steps = jax.lax.scan(step, (zeros, zeros), projected)
        return last, all_steps

    def forward(p: Any, state: Any, x: Any, key: Any, dtype: Any) -> Any:
        del key
        _, steps = run(p["layers"][0], x.swapaxes(0, 1), dtype)
        last, _ = run(p["layers"][1], steps, dtype)
        return dense(p["head"], last, jnp.float32), state

    return parameters, [], forward


def gru_tagger() -> Net:
    """Return a bidirectional GRU that classifies every word."""
    draw = Draw()
    units = 64

    def direction() -> Any:
        kernels = draw(64, 3 * units), draw(units, 3 * units)
        return *kernels, jnp.zeros(3 * units), jnp.zeros(3 * units)

    parameters = {
        "words": draw(NUM_WORDS, 64),
        "directions": [direction(), direction()],
        "head": draw.dense(2 * units, NUM_CLASSES),
    }

    def run(weights: Any, x: Any, dtype: Any, backwards: bool) -> Any:
        kernel, recurrent, bias, recurrent_bias = (part.astype(dtype) for part in weights)
        projected = x.astype(dtype) @ kernel + bias

        def step(hidden: Any, inputs: Any) -> Any:
            update, reset, new = jnp.split(inputs, 3, axis=-1)
            own = jnp.split(hidden @ recurrent + recurrent_bias, 3, axis=-1)
            update, reset = jax.nn.sigmoid(update + own[0]), jax.nn.sigmoid(reset + own[1])
            hidden = update * hidden + (1 - update) * jnp.tanh(new + reset * own[2])
            return hidden, hidden

        zeros = jnp.zeros((x.shape[1], units), dtype)
        return jax.lax.scan(step, zeros, projected, reverse=backwards)[1]

    def forward(p: Any, state: Any, x: Any, key: Any, dtype: Any) -> Any:
        del key
        words = p["words"][x.swapaxes(0, 1)]
        both = [run(w, words, dtype, bool(i)) for i, w in enumerate(p["directions"])]
        logits = dense(p["head"], jnp.concatenate(both, -1), jnp.float32)
        return logits.swapaxes(0, 1), state

    return parameters, [], forward


def transformer() -> Net:
    """Return an encoder of four layers."""
    draw = Draw()

    def layer() -> Any:
        return {
            "joint": draw.dense(128, 384),
            "out": draw.dense(128, 128),
            "wide": draw.dense(128, 512),
            "narrow": draw.dense(512, 128),
            "norms": [_norm(128), _norm(128)],
        }

    parameters = {
        "inputs": draw.dense(16, 128),
        "layers": [layer() for _ in range(4)],
        "head": draw.dense(128, NUM_CLASSES),
    }

    def attended(p: Any, x: Any, dtype: Any) -> Any:
        size, length, _ = x.shape
        joint = dense(p["joint"], x, dtype).reshape(size, length, 3, 4, 32)
        queries, keys, values = joint[:, :, 0], joint[:, :, 1], joint[:, :, 2]
        scores = jnp.einsum("bqhd,bkhd->bhqk", queries * 32**-0.5, keys)
        shares = jax.nn.softmax(scores.astype(jnp.float32)).astype(dtype)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", shares, values).reshape(size, length, 128)
        return dense(p["out"], mixed, dtype)

    def forward(p: Any, state: Any, x: Any, key: Any, dtype: Any) -> Any:
        x = dense(p["inputs"], x, dtype)
        for number, part in enumerate(p["layers"]):
            keys = jax.random.split(jax.random.fold_in(key, number))
            x = layer_norm(part["norms"][0], x + dropout(attended(part, x, dtype), 0.1, keys[0]))
            hidden = jax.nn.gelu(dense(part["wide"], x, dtype), approximate=False)
            hidden = dropout(dense(part["narrow"], hidden, dtype), 0.1, keys[1])
            x = layer_norm(part["norms"][1], x + hidden)
        return dense(p["head"], x.mean(1), jnp.float32), state

    return parameters, [], forward


def build(name: str) -> Net:
    """Return a net by its name."""
    stages = [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)]
    makers: dict[str, Callable[[], Net]] = {
        "mlp": mlp,
        "cnn": lambda: residual_net(1, 32, [(32, 1), (64, 2), (128, 2)]),
        "resnet18": lambda: residual_net(3, 64, stages),
        "lstm": lstm,
        "gru_tagger": gru_tagger,
        "transformer": transformer,
    }
    return makers[name]()
