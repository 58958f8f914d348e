"""BatchNormalization's statistics, computed anew for weights that were never trained with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np


def normalizations(model: Any) -> list[Any]:
    """Return the BatchNormalization layers of a model that keep moving averages of batches."""
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]


def batches_for_norms(x: Any, batch_size: int, num_batches: int, seed: int) -> list[Any]:
    """Return batches of different examples, in an order that follows from the seed alone.

    Args:
        x: An array, or a nest of arrays, of examples.
        batch_size: Examples a batch; where there are fewer, all of them make one.
        num_batches: Batches at most.
        seed: The seed.

    Example:
        >>> batches = batches_for_norms({"a": np.arange(7)}, 3, 9, seed=0)
        >>> [len(batch["a"]) for batch in batches]
        [3, 3]
    """
    num_examples = len(keras.tree.flatten(x)[0])
    order = np.random.Generator(np.random.Philox(key=[seed, 0])).permutation(num_examples)
    # A smaller batch at the end would count as much as the others.
    starts = range(0, max(num_examples - batch_size, 0) + 1, batch_size)
    chosen = [order[start : start + batch_size] for start in starts[:num_batches]]
    return [keras.tree.map_structure(lambda array, rows=rows: array[rows], x) for rows in chosen]


def renew_norms(model: Any, batches: Sequence[Any]) -> None:
    """Set moving averages to the mean of those batches' own statistics.

    average = (1 / n) * sum of the n batches' means and variances, with the weights as they are

    Everything else that a forward pass in training changes is left as it was.

    Args:
        model: A built Keras model.
        batches: Inputs, one batch each.

    Example:
        >>> layer = keras.layers.BatchNormalization()
        >>> model = keras.Sequential([keras.Input((1,)), layer])
        >>> renew_norms(model, [np.array([[1.0], [3.0]], "float32")])
        >>> float(keras.ops.convert_to_numpy(layer.moving_mean)[0])
        2.0

    Source: Izmailov et al., 2018, arXiv:1803.05407, section 3.2.
    """
    layers = normalizations(model)
    if not layers or not batches:
        return
    averages = {id(v) for layer in layers for v in layer.non_trainable_variables}
    others = [v for v in model.non_trainable_variables if id(v) not in averages]
    kept = [np.array(keras.ops.convert_to_numpy(variable)) for variable in others]
    momenta = [layer.momentum for layer in layers]
    try:
        for index, batch in enumerate(batches):
            for layer in layers:
                layer.momentum = index / (index + 1)
            model(batch, training=True)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for variable, value in zip(others, kept, strict=True):
            variable.assign(value)
