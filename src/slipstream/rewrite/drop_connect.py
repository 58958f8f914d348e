"""Drop weights, not units, in the layers of a model that exists."""

from __future__ import annotations

from typing import Any, final

import keras
from keras import ops


@final
class DroppedKernels:
    """The call of a layer whose kernels lose some of their weights while training.

    y = layer(x) with kernel * keep / (1 - rate),  keep drawn anew in each call, for each weight

    One draw serves all examples of a batch; Wan et al. draw for each example, which no matrix
    product can do. In inference it is the layer's own call.

    Args:
        layer: A built Dense or convolutional layer.
        rate: Share of the weights that are set to zero.
    """

    why = "weights are dropped from its kernels"

    def __init__(self, layer: Any, rate: float) -> None:
        self._layer = layer
        self._rate = rate
        self._own_call = layer.call
        self._names = kernel_attributes(layer)
        self._seeds = keras.random.SeedGenerator()
        locked = layer._tracker.locked
        layer._tracker.unlock()
        # The model keeps track of it, so that compiled steps move it on.
        layer.drop_connect_seeds = self._seeds
        if locked:
            layer._tracker.lock()

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Return what the layer returns, with dropped weights if it is training."""
        layer = self._layer
        if not layer._get_call_context().get_value("training"):
            return self._own_call(inputs, *args, **kwargs)
        attributes = vars(layer)
        kept = {name: attributes[name] for name in self._names}
        for name, kernel in kept.items():
            attributes[name] = self._dropped(kernel)
        try:
            return self._own_call(inputs, *args, **kwargs)
        finally:
            attributes.update(kept)

    def _dropped(self, kernel: Any) -> Any:
        values = ops.convert_to_tensor(kernel)
        # Without a shape Keras draws from PyTorch's global generator.
        return keras.random.dropout(values, self._rate, tuple(values.shape), self._seeds)


def kernel_attributes(layer: Any) -> list[str]:
    """Return the names of the attributes that hold a layer's kernels."""
    names = ("_kernel", "kernel", "depthwise_kernel", "pointwise_kernel")
    return [name for name in names if isinstance(vars(layer).get(name), keras.Variable)]


def drop_weights(model: Any, rate: float) -> int:
    """Drop weights in the Dense and convolutional layers before a model's last ones.

    The layers stay what they are, with their weights: outputs in inference, saved files and the
    model's own graph know nothing of it.

    Args:
        model: A built Keras model.
        rate: Share of the weights of each kernel that are set to zero in each training step.

    Returns:
        How many kernels lose weights. Layers that make the outputs, frozen layers and those with
        quantized kernels or low-rank adapters keep all of theirs.

    Source: Wan et al., 2013, "Regularization of neural networks using DropConnect" (ICML).
    """
    kinds = (
        *(keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D),
        *(keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D),
        *(keras.layers.SeparableConv1D, keras.layers.SeparableConv2D),
        *(keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose),
        keras.layers.Conv3DTranspose,
    )
    last = last_layers(model)
    num_kernels = 0
    for layer in model._flatten_layers():
        is_own = layer.quantization_mode is None and not getattr(layer, "lora_enabled", False)
        if isinstance(layer, kinds) and layer.trainable and is_own and id(layer) not in last:
            layer.call = DroppedKernels(layer, rate)
            num_kernels += len(kernel_attributes(layer))
    return num_kernels


def last_layers(model: Any) -> set[int]:
    """Return the ids of the layers with weights that make the outputs of a model.

    They are looked for behind layers without weights. A model without a graph has none that can be
    told.
    """
    found: set[int] = set()
    tensors = list(getattr(model, "outputs", None) or [])
    while tensors:
        history = tensors.pop()._keras_history
        operation = history.operation
        if isinstance(operation, keras.Model):
            found |= last_layers(operation)
        elif getattr(operation, "weights", None):
            found.add(id(operation))
        else:
            tensors += operation._inbound_nodes[history.node_index].input_tensors
    return found
