"""Rewrites of a model, from Python: a model in, a model and what changed out.

The model that is given stays as it is, and its weights are kept where their shapes allow. Models
need a graph: Sequential, or keras.Model(inputs, outputs), nested ones too; those of
keras.applications have one. A rewrite that finds nothing to change raises InputError and says why.
"""

from __future__ import annotations

from typing import Any

from slipstream.rewrite.base import swap_base as _swap_base
from slipstream.rewrite.branches import zero_branches
from slipstream.rewrite.depth import scale_depth as _scale_depth
from slipstream.rewrite.freeze import freeze_batch_norms
from slipstream.rewrite.graph import Unchanged, copy_model
from slipstream.rewrite.initialization import initialize as _initialize
from slipstream.rewrite.normalize import insert_batch_norm
from slipstream.rewrite.report import Change, reported
from slipstream.rewrite.residual import Way, insert_residuals
from slipstream.rewrite.separable import Kernels
from slipstream.rewrite.separable import make_separable as _make_separable
from slipstream.rewrite.widths import scale_width as _scale_width

Rewritten = tuple[Any, Change]


def add_batch_normalization(model: Any) -> Rewritten:
    """Return the model with BatchNormalization after Dense layers and convolutions, and the change.

    Evaluated, it gives what it gave before. Those that make the outputs, that a normalization
    follows, gates, and convolutions of one position stay as they are.

    Raises:
        InputError: The model has no graph, or no such layer.

    Example:
        >>> import keras
        >>> dense = keras.layers.Dense
        >>> model = keras.Sequential([keras.Input((4,)), dense(8, activation="relu"), dense(2)])
        >>> new, change = add_batch_normalization(model)
        >>> [type(layer).__name__ for layer in new.layers[1:]]
        ['Dense', 'BatchNormalization', 'Activation', 'Dense']
        >>> change.parameters
        (58, 82)
    """
    return reported(insert_batch_norm, model)


def add_residuals(model: Any, way: Way = "plain") -> Rewritten:
    """Return the model with ways around every two blocks of equal shape, and the change.

    plain: y = x + f(x);  gated: y = f(x) + gate * x, with gates that begin at 0

    Raises:
        InputError: The model has no graph, or no block whose output is shaped like its input.

    Example:
        >>> import keras
        >>> layers = [keras.layers.Dense(8, activation="relu") for _ in range(3)]
        >>> model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(1)])
        >>> str(add_residuals(model, "gated")[1])[:34]
        'gated connections around 1 blocks;'
    """
    return reported(insert_residuals, model, way)


def make_separable(model: Any, kernels: Kernels = "fresh") -> Rewritten:
    """Return the model with separable convolutions in the place of full ones, and the change.

    Args:
        model: The model.
        kernels: "fresh", or "nearest" to the old ones.

    Raises:
        InputError: The model has no graph, or no convolution of 8 input channels or more.
    """
    return reported(_make_separable, model, kernels)


def scale_width(model: Any, factor: float) -> Rewritten:
    """Return the model with wider or narrower hidden layers, and the change.

    Raises:
        InputError: The model has no graph, or no layer whose width may change.

    Example:
        >>> import keras
        >>> dense = keras.layers.Dense
        >>> model = keras.Sequential([keras.Input((4,)), dense(8, activation="relu"), dense(2)])
        >>> scale_width(model, 0.5)[1].parameters
        (58, 30)
    """
    return reported(_scale_width, model, factor)


def scale_depth(model: Any, factor: float) -> Rewritten:
    """Return the model with more or fewer blocks of equal shape in a row, and the change.

    A deeper one gives what the model gave: new blocks begin as the identity.

    Raises:
        InputError: The model has no graph, or no block whose output is shaped like its input.
    """
    return reported(_scale_depth, model, factor)


def swap_base(model: Any, name: str) -> Rewritten:
    """Return the model on another base of keras.applications, with random weights, and the change.

    Raises:
        InputError: The model has no graph, is not built on another model of images, or the new one
            is unknown or does not take them.
    """
    return reported(_swap_base, model, name)


def initialize(model: Any, scheme: str, x: Any = None) -> Rewritten:
    """Return the model with kernels drawn anew, and the change.

    Args:
        model: The model.
        scheme: he_normal, he_uniform, glorot_normal, glorot_uniform, orthogonal or lsuv.
        x: For lsuv: inputs as the model takes them, of which the first 256 count.

    Raises:
        InputError: The model has no graph or no such layers, or lsuv has no inputs.
    """

    def anew(copy: Any) -> str:
        return _initialize(copy, scheme, x)

    return reported(_on_a_copy, model, anew)


def zero_gamma(model: Any) -> Rewritten:
    """Return the model with residual branches that begin with nothing, and the change.

    Raises:
        InputError: The model has no graph or no such branches.
    """
    return reported(_on_a_copy, model, zero_branches)


def freeze_batch_normalization(model: Any) -> Rewritten:
    """Return the model with every BatchNormalization layer frozen, and the change.

    Raises:
        InputError: The model has no graph.
    """

    def frozen(copy: Any) -> str:
        return f"{freeze_batch_norms(copy._flatten_layers())} layers keep their averages"

    return reported(_on_a_copy, model, frozen)


def _on_a_copy(model: Any, change: Any) -> tuple[Any, str]:
    copy = copy_model(model, Unchanged())
    return copy, change(copy)
