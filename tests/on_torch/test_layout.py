"""What is laid out in memory how, and that nothing is copied on the way."""

from __future__ import annotations

from collections import Counter
from typing import Any

import keras
import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from slipstream.lowering import Lowered
from slipstream.lowering._layout import match_layout, restride

L = keras.layers
COPIES = ("aten.copy_", "aten.clone", "aten._to_copy", "aten.contiguous")


class CopyCount(TorchDispatchMode):
    """Counts the operations that copy tensors of more than a few elements."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func.overloadpacket)
        if name in COPIES and args[0].numel() > 16:
            self.counts[f"{name} {tuple(args[0].shape)}"] += 1
        return func(*args, **(kwargs or {}))


def network() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            L.Conv2D(8, 3, padding="same", activation="relu"),
            L.MaxPooling2D(),
            L.Conv2D(12, 3, padding="same"),
            L.ReLU(),
            L.AveragePooling2D(2),
            L.DepthwiseConv2D(3, padding="same"),
            L.Activation("gelu"),
            L.Conv2D(8, 1),
            L.GlobalAveragePooling2D(),
            L.Dense(5),
        ]
    )


def test_a_step_of_a_convolutional_net_copies_nothing() -> None:
    model = network()
    lowered = Lowered(model)
    assert lowered.fallbacks == ()
    x = torch.randn(4, 16, 16, 3)
    weights = [variable.value for variable in model.trainable_variables]
    with CopyCount() as seen:
        gradients = torch.autograd.grad(lowered(x, True).square().sum(), weights)
    assert seen.counts == {}
    assert [g.stride() for g in gradients] == [w.stride() for w in weights]


def test_a_step_in_bfloat16_casts_once_and_keeps_the_layout() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = network()
    lowered = Lowered(model)
    x = torch.randn(4, 16, 16, 3)
    with CopyCount() as seen:
        lowered(x, True)
    # The input, and each of the five kernels; biases are too small to count.
    assert sum(seen.counts.values()) == 6
    assert all(name.startswith("aten._to_copy") for name in seen.counts)


def test_kernels_keep_their_values_and_their_shape() -> None:
    model = network()
    before = model.get_weights()
    tensors = [variable.value for variable in model.variables]
    Lowered(model)
    for variable, value, tensor in zip(model.variables, before, tensors, strict=True):
        assert variable.value is tensor
        np.testing.assert_array_equal(np.array(variable), value)
    kernel = model.layers[2].kernel
    assert kernel.value.permute(3, 2, 0, 1).is_contiguous(memory_format=torch.channels_last)
    kernel.assign(before[2] * 2)
    assert kernel.value.permute(3, 2, 0, 1).is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(np.array(kernel), before[2] * 2)


def test_weights_saved_after_lowering_are_the_same(tmp_path: Any) -> None:
    model = network()
    weights = model.get_weights()
    Lowered(model)
    model.save_weights(tmp_path / "net.weights.h5")
    fresh = network()
    fresh.load_weights(tmp_path / "net.weights.h5")
    for one, other in zip(fresh.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_match_layout() -> None:
    kernel = L.Conv2D(4, 3)
    kernel.build((None, 8, 8, 5))
    restride(kernel.kernel, (3, 0, 1, 2))
    reference = kernel.kernel.value
    assert not reference.is_contiguous()
    slot = torch.randn(reference.shape)
    matched = match_layout(slot, reference)
    assert matched.stride() == reference.stride()
    assert torch.equal(matched, slot)
    assert match_layout(matched, reference) is matched
    assert match_layout(slot.double(), reference).dtype == torch.float64
