"""Put another model of keras.applications in the place of the one that a model is built on."""

from __future__ import annotations

import inspect
from typing import Any, final

import keras

from slipstream.errors import InputError
from slipstream.rewrite.graph import Edit, Names, copy_model, has_graph, nested_base, nodes_of

RESCALING = (keras.layers.Rescaling, keras.layers.Normalization)
POOLING = {
    keras.layers.GlobalAveragePooling2D: "avg",
    keras.layers.GlobalMaxPooling2D: "max",
}


def swap_base(model: Any, name: str) -> tuple[Any, str]:
    """Return a copy that is built on another model of keras.applications, and what was done.

    The new base has random weights; layers after it keep theirs where the shapes allow. A base that
    rescales its inputs is replaced by one that does: Rescaling(1 / 127.5, -1) is put before those
    that have no such layer of their own.

    Args:
        model: A built Keras model with a graph of layers, one of which is the old base.
        name: The name of the new one, like "MobileNetV2".

    Raises:
        InputError: There is no such model, no base of images within the model, or the new one does
            not take inputs of that shape.
    """
    make = getattr(keras.applications, name, None)
    if not inspect.isfunction(make):
        raise InputError(
            "the name of a model of keras.applications",
            f"'{name}'",
            "Name one, like 'MobileNetV2' or 'EfficientNetV2B0'.",
            code="SLP-701",
        )
    old = nested_base(model)
    if old is None or not has_graph(old) or len(old.inputs) != 1 or len(old.inputs[0].shape) != 4:
        raise InputError(
            "a model that is built on another model, which takes images, as one of its layers",
            f"'{model.name}', which is not",
            "Call the base as a layer: keras.applications.X(include_top=False)(inputs).",
            code="SLP-702",
        )
    edit = _Swap(old, *_made(make, name, old))
    return copy_model(model, edit), f"{name} in the place of '{old.name}'{edit.words}"


@final
class _Swap(Edit):
    def __init__(self, old: Any, new: Any, rescales_anew: bool, words: str) -> None:
        self._old = old
        self._new = new
        self._rescales_anew = rescales_anew
        self.words = words

    def replaced(self, layer: Any, args: Any) -> Any | None:
        del args
        return self._new if layer is self._old else None

    def call(self, node: Any, layer: Any, args: Any, kwargs: Any, names: Names) -> Any:
        if node.operation is self._old and self._rescales_anew:
            rescaling = keras.layers.Rescaling(
                1.0 / 127.5, offset=-1.0, name=names.new("base_rescaling")
            )
            return layer(rescaling(args[0]), *args[1:], **kwargs)
        return layer(*args, **kwargs)


def _made(make: Any, name: str, old: Any) -> tuple[Any, bool, str]:
    """Return the new base, whether inputs are to be rescaled before it, and what is to be said."""
    settings: dict[str, Any] = {"pooling": _pooling(old)}
    rescaled = _rescales(old)
    if "include_preprocessing" in inspect.signature(make).parameters:
        settings["include_preprocessing"] = rescaled
    shape = tuple(old.inputs[0].shape[1:])
    try:
        new = make(include_top=False, weights=None, input_shape=shape, **settings)
    except ValueError as error:
        raise InputError(
            f"images that {name} takes",
            f"{shape}: {str(error).strip().splitlines()[0]}",
            "Choose another base, or resize the images.",
            code="SLP-703",
        ) from error
    new.trainable = old.trainable
    anew = rescaled and not _rescales(new)
    if anew:
        return new, True, ", inputs rescaled to -1 .. 1 before it"
    itself = _rescales(new) and not rescaled
    return new, False, ", which rescales its inputs itself" if itself else ""


def _pooling(old: Any) -> str | None:
    output = old.outputs[0]
    if len(old.outputs) == 1 and len(output.shape) == 4:
        return None
    last = type(output._keras_history.operation)
    if len(old.outputs) == 1 and last in POOLING:
        return POOLING[last]
    raise InputError(
        "a base that gives feature maps, or ends in a global pooling",
        f"'{old.name}', which ends in {last.__name__}",
        "Build the model on a base with include_top=False.",
        code="SLP-704",
    )


def _rescales(base: Any) -> bool:
    return any(isinstance(node.operation, RESCALING) for node in nodes_of(base)[:4])
