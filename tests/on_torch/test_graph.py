"""Whole graphs: several inputs and outputs, nesting, sharing, masks, fallbacks."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from conformance import complaints, run, spread

from slipstream.lowering import Lowered, NotAGraphError

L = keras.layers


class Doubled(L.Layer):
    """A layer of a user's: what no rule knows."""

    def call(self, x: Any, training: bool = False) -> Any:
        return x * (2.0 if training else 3.0)


class Pair(L.Layer):
    """A layer with a dict of outputs."""

    def call(self, x: Any) -> Any:
        return {"b": x + 1, "a": x * 2}


class Penalized(L.Layer):
    """A layer that adds to the loss."""

    def call(self, x: Any) -> Any:
        self.add_loss(keras.ops.mean(x**2))
        return x


class MaskAsNumbers(L.Layer):
    """A layer that shows the mask it is given."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, x: Any, mask: Any = None) -> Any:
        return x * 0 + keras.ops.cast(mask, "float32")[..., None]


def batch(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def agree(model: Any, arrays: list[Any], lowered: Lowered | None = None) -> Lowered:
    """Check outputs, gradients and variables in training and inference; return the lowered."""
    spread(model)
    lowered = lowered or Lowered(model)
    for training in (True, False):
        expected = run(_of_one(model), model, arrays, training)
        found = run(_of_one(lowered), model, arrays, training)
        assert complaints(found.arrays, expected.arrays, 1e-5) == []
        assert complaints(found.variables, expected.variables, 1e-6) == []
    return lowered


def _of_one(call: Any) -> Any:
    return lambda x, training: call(x[0] if len(x) == 1 else x, training=training)


def names(lowered: Lowered) -> list[str]:
    return [fallback.name for fallback in lowered.fallbacks]


def test_several_inputs_and_outputs() -> None:
    a, b = keras.Input((4,)), keras.Input((6,))
    x = L.Concatenate()([L.Dense(3)(a), L.Dense(3)(b)])
    model = keras.Model([a, b], [L.Dense(2)(x), x])
    lowered = agree(model, [batch(5, 4), batch(5, 6)])
    assert lowered.fallbacks == ()
    assert lowered.num_lowered == 4
    assert isinstance(lowered([batch(5, 4), batch(5, 6)], training=False), list)


def test_dicts_of_inputs_and_outputs() -> None:
    inputs = {"z": keras.Input((4,), name="z"), "a": keras.Input((6,), name="a")}
    outputs = {"y": L.Dense(3)(inputs["z"]), "b": L.Dense(2)(inputs["a"])}
    model = keras.Model(inputs, outputs)
    lowered = Lowered(model)
    x = {"a": torch.tensor(batch(5, 6)), "z": torch.tensor(batch(5, 4))}
    # The first call goes Keras' way through the inputs, the second the short one.
    for _ in range(2):
        found, expected = lowered(x, training=False), model(x)
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert torch.allclose(found[key], value, atol=1e-6)


def test_a_list_of_one_output_is_that_one() -> None:
    x = keras.Input((4,))
    model = keras.Model([x], [L.Dense(3)(x)])
    found, expected = (call(torch.ones(2, 4), training=False) for call in (Lowered(model), model))
    assert found.shape == expected.shape == (2, 3)


def test_shared_layers_and_nesting() -> None:
    x = keras.Input((8, 8, 3))
    inner = keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(3, 3, padding="same"), L.ReLU()])
    tower = keras.Model(x, [inner(inner(x)), L.Flatten()(x)])
    a, b = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    (one, flat), (two, _) = tower(a), tower(b)
    model = keras.Model([a, b], L.Dense(2)(L.Concatenate()([L.Flatten()(one + two), flat])))
    lowered = agree(model, [batch(2, 8, 8, 3), batch(2, 8, 8, 3, seed=1)])
    assert lowered.fallbacks == ()
    # Three convolutions and their ReLUs for each call of the tower, and what is around them.
    assert lowered.num_lowered == 2 * (2 * 2 + 1) + 3


def test_operations_run_as_keras_runs_them() -> None:
    x = keras.Input((4,))
    y = keras.ops.relu(L.Dense(3)(x) - 0.5) * 2.0
    model = keras.Model(x, keras.ops.stack([y, y], axis=1))
    lowered = agree(model, [batch(5, 4)])
    assert lowered.fallbacks == ()


def test_a_model_between_two_tensors_of_another() -> None:
    x = keras.Input((4,))
    hidden = L.Dense(3)(x)
    whole = keras.Model(x, L.Dense(2)(L.ReLU()(hidden)))
    part = keras.Model(hidden, whole.output)
    assert agree(part, [batch(5, 3)]).num_lowered == 2


def test_unknown_layers_are_called_by_keras_and_named() -> None:
    x = keras.Input((4,))
    inner_x = keras.Input((3,))
    inner = keras.Model(inner_x, Doubled(name="mine")(inner_x), name="inner")
    parts = Pair(name="pair")(inner(L.Dense(3)(x)))
    model = keras.Model(x, [parts["a"], L.Dense(1)(parts["b"])])
    lowered = agree(model, [batch(5, 4)])
    assert names(lowered) == ["inner/mine", "pair"]
    assert lowered.num_lowered == 2
    assert str(lowered.fallbacks[0]) == "inner/mine (Doubled): no rule for this class"


def test_losses_that_layers_add() -> None:
    x = keras.Input((4,))
    model = keras.Model(x, L.Dense(3, activity_regularizer="l2")(Penalized()(L.Dense(3)(x))))
    lowered = Lowered(model)
    inputs = torch.tensor(batch(5, 4))
    model(inputs, training=True)
    expected = [loss.item() for loss in model.losses]
    # Twice: what one call added must not stay for the next.
    for _ in range(2):
        lowered(inputs, True)
        assert [loss.item() for loss in model.losses] == pytest.approx(expected)
    assert len(expected) == 2


def test_masks_travel() -> None:
    x = keras.Input((6, 4))
    y = L.Dense(3)(L.Dropout(0.0)(L.Masking()(x)))
    shown = MaskAsNumbers()(L.Add()([y, y]))
    model = keras.Model(x, [shown, L.GlobalAveragePooling1D()(y)])
    array = batch(5, 6, 4)
    array[1:, 3:] = 0
    lowered = agree(model, [array])
    assert [fallback.kind for fallback in lowered.fallbacks] == ["MaskAsNumbers"]
    assert float(lowered(array, False)[0].detach().mean()) == pytest.approx((6 + 4 * 3) / 30)


@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask")
def test_masks_travel_into_nested_models() -> None:
    inner = keras.Sequential([keras.Input((6, 4)), L.Dense(3), L.GlobalAveragePooling1D()])
    x = keras.Input((6, 4))
    array = batch(5, 6, 4)
    array[1:, 3:] = 0
    assert agree(keras.Model(x, inner(L.Masking()(x))), [array]).fallbacks == ()


def test_a_flag_in_the_graph_yields_to_the_models() -> None:
    x = keras.Input((4,))
    model = keras.Model(x, Doubled()(L.Dropout(0.0)(x, training=False), training=False))
    agree(model, [batch(5, 4)])


def test_operations_on_variables_are_cast() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    x = keras.Input((4,))
    dense = L.Dense(3)
    model = keras.Model(x, keras.ops.add(dense(x), dense.bias))
    inputs = torch.tensor(batch(5, 4))
    lowered = Lowered(model)
    found, expected = lowered(inputs, False), model(inputs)
    assert [fallback.kind for fallback in lowered.fallbacks] == ["Add"]
    assert found.dtype == expected.dtype == torch.bfloat16
    assert torch.allclose(found.float(), expected.float(), rtol=0.05, atol=0.05)


def test_inputs_are_taken_as_keras_takes_them() -> None:
    x = keras.Input((4, 1))
    model = keras.Model(x, L.Dense(3)(x))
    lowered = Lowered(model)
    for array in (batch(5, 4, 1), batch(5, 4), batch(5, 4, 1).astype("int32"), batch(5, 4, 1, 1)):
        for value in (array, torch.tensor(array)):
            assert torch.allclose(lowered(value, False), model(value), atol=1e-6)
    with pytest.raises(ValueError, match="expected shape"):
        lowered(torch.tensor(batch(5, 7, 1)), False)


def test_weights_are_read_when_they_are_needed() -> None:
    x = keras.Input((4,))
    model = keras.Model(x, L.Dense(3)(x))
    lowered = Lowered(model)
    model.set_weights([np.ones((4, 3)), np.full(3, 2.0)])
    assert torch.equal(lowered(torch.ones(2, 4), False), torch.full((2, 3), 6.0))


def test_what_has_no_graph_is_refused() -> None:
    class Own(keras.Model):
        def call(self, x: Any) -> Any:
            return x

    class OwnFunctional(keras.Model):
        def call(self, x: Any, training: Any = None, mask: Any = None) -> Any:
            return super().call(x) * 2

    x = keras.Input((4,))
    unreadable = (Own(), keras.Sequential([L.Dense(3)]), OwnFunctional(x, L.Dense(2)(x)))
    for model in unreadable:
        with pytest.raises(NotAGraphError):
            Lowered(model)


def test_models_without_a_graph_fall_back_inside_another() -> None:
    class Own(keras.Model):
        def call(self, x: Any, training: bool = False) -> Any:
            return x * (2.0 if training else 3.0)

    x = keras.Input((4,))
    lowered = agree(keras.Model(x, Own(name="own")(L.Dense(3)(x))), [batch(5, 4)])
    assert names(lowered) == ["own"]


def test_layers_that_are_not_what_they_were_are_refused() -> None:
    x = keras.Input((4,))
    with keras.RematScope(mode="full"):
        kept_small = L.Dense(3, name="rematerialized")
    replaced = L.Dense(3, name="replaced")
    y = replaced(kept_small(x))
    original = replaced.call
    replaced.call = lambda inputs, training=None: original(inputs) * 2
    lowered = agree(keras.Model(x, y), [batch(5, 4)])
    assert names(lowered) == ["rematerialized", "replaced"]


def test_values_are_let_go_when_they_are_used_up() -> None:
    alive: list[int] = []
    seen: list[Any] = []

    class Watch(L.Layer):
        def call(self, x: Any) -> Any:
            import weakref

            if isinstance(x, torch.Tensor) and x.device.type != "meta":
                alive.append(sum(ref() is not None for ref in seen))
                seen.append(weakref.ref(x))
            return x * 1

    x = keras.Input((4,))
    y = x
    for _ in range(5):
        y = Watch()(y)
    lowered = Lowered(keras.Model(x, y))
    alive.clear()
    seen.clear()
    with torch.no_grad():
        lowered(torch.ones(2, 4), False)
    # The caller holds the first, the step before the second.
    assert max(alive) <= 2
