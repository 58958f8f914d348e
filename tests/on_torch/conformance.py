"""The one suite that every lowering rule passes: what to try, and how to compare with Keras.

Any file `cases_*.py` in this folder is found by `test_conformance.py`. It holds a tuple `CASES`:

    from conformance import Case

    CASES = (
        Case("dense_3d", lambda: keras.layers.Dense(5), shapes=((4, 7, 3),)),
        Case("gru_masked", lambda: keras.layers.GRU(6), shapes=((5, 9, 4),), masked=(0,)),
        Case("add", keras.layers.Add, shapes=((4, 3), (4, 3))),
        Case(
            "attention_cross",
            lambda: keras.layers.MultiHeadAttention(2, 4),
            shapes=((3, 5, 8), (3, 7, 8)),
            call=lambda layer, inputs: layer(inputs[0], inputs[1], use_causal_mask=True),
        ),
        Case("refused", lambda: keras.layers.Dense(3, activation=my_own), ((4, 7),), lowered=False),
    )

For each case the suite builds a model of this one layer, gives its variables random values, and
asks of Keras' own call and of `Lowered`, from the same variables:

- outputs and their masks; gradients of inputs and of trainable variables for a random cotangent;
  all variables afterwards (moving statistics, seed generators);
- in training and inference, with the layer frozen, on a batch with fewer examples, and under
  mixed_bfloat16 and mixed_float16.

They must agree within the rule's `Tolerance`, relative to the largest value of each array; where
they do not, both are compared with the same model in float64, and the lowered one may be at most
twice as far from it as Keras is: so rounding is told from error.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch

from slipstream.lowering import Lowered
from slipstream.lowering._registry import all_rules
from slipstream.lowering._rule import Tolerance


@dataclass(frozen=True)
class Case:
    """One layer, and what it is called with.

    Args:
        name: Names the test.
        make: Returns a fresh layer; it takes the global dtype policy.
        shapes: Shapes of the inputs, batch axis included.
        dtypes: Dtypes of the inputs, float32 unless told otherwise; integers lie in [0, `below`).
        below: See `dtypes`.
        masked: Which inputs carry a random mask of shape (batch, steps).
        call: How the graph calls the layer; with its one input, or the list of them, if not told.
        lowered: False where the rule must refuse, so that Keras runs the layer.
        random: The training outputs are random: only shapes, masks and variables are compared.
        scale: Inputs are drawn from a normal distribution of this deviation.
        advances: The layer's seeds move although Keras leaves them alone on this backend.
        zero: Arrays that are zero but for rounding: compared relative to the largest of all.
    """

    name: str
    make: Callable[[], Any]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...] = ()
    below: int = 5
    masked: tuple[int, ...] = ()
    call: Callable[[Any, Sequence[Any]], Any] | None = None
    lowered: bool = True
    random: bool = False
    scale: float = 1.0
    advances: bool = False
    zero: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What one call of a model gave and left behind, as float64 arrays by name."""

    arrays: dict[str, np.ndarray[Any, Any]]
    variables: dict[str, np.ndarray[Any, Any]]


@keras.saving.register_keras_serializable("conformance")
class AttachMask(keras.layers.Layer):
    """Hangs its second input on its first as a mask."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return inputs[0] * 1

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return inputs[1]

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[0]


def all_cases() -> list[Case]:
    """Return the cases of every `cases_*.py` beside this file."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("cases_*.py"))
    return [case for name in names for case in importlib.import_module(name).CASES]


def model_of(case: Case, dtype: str = "float32") -> tuple[keras.Model, Any]:
    """Return the model of a case's layer, and the layer, with random variables."""
    dtypes = case.dtypes or ("float32",) * len(case.shapes)
    inputs = [
        keras.Input(shape[1:], dtype=dtype if kind == "float32" else kind)
        for shape, kind in zip(case.shapes, dtypes, strict=True)
    ]
    masks = [keras.Input(case.shapes[i][1:2], dtype="bool") for i in case.masked]
    tensors = list(inputs)
    for i, mask in zip(case.masked, masks, strict=True):
        tensors[i] = AttachMask()([tensors[i], mask])
    layer = case.make()
    call = case.call or (lambda layer, x: layer(x[0] if len(x) == 1 else x))
    model = keras.Model([*inputs, *masks], call(layer, tensors))
    spread(model)
    return model, layer


def spread(model: keras.Model) -> None:
    """Move all variables away from their initial zeros and ones."""
    rng = np.random.default_rng(3)
    for variable in model.weights:
        noise = rng.normal(0, 0.3, variable.shape)
        value = np.array(variable, "float64") + noise
        # Variances must stay positive.
        variable.assign(np.abs(value) if "variance" in variable.name else value)


def batch_of(case: Case, num_examples: int | None = None, seed: int = 0) -> list[Any]:
    """Return inputs of a case, masks last; with fewer examples if told so."""
    rng = np.random.default_rng(seed)
    dtypes = case.dtypes or ("float32",) * len(case.shapes)
    arrays: list[Any] = []
    for shape, kind in zip(case.shapes, dtypes, strict=True):
        if kind.startswith("float"):
            arrays.append(rng.normal(0, case.scale, shape).astype(kind))
        else:
            arrays.append(rng.integers(0, case.below, shape).astype(kind))
    for i in case.masked:
        mask = rng.random(case.shapes[i][:2]) < 0.6
        mask[:, 0] = True
        arrays.append(mask)
    return [array[:num_examples] for array in arrays]


def run(
    call: Callable[[list[Any], bool], Any],
    model: keras.Model,
    arrays: Sequence[Any],
    training: bool,
    dtype: torch.dtype = torch.float32,
) -> Result:
    """Call a model, differentiate, and put its variables back as they were."""
    before = [np.array(variable) for variable in model.variables]
    tensors = [torch.tensor(array) for array in arrays]
    tensors = [t.to(dtype) if t.is_floating_point() else t for t in tensors]
    sources = [t.requires_grad_() for t in tensors if t.is_floating_point()]
    weights = [v.value for v in model.trainable_variables]
    outputs = keras.tree.flatten(call(tensors, training))
    rng = np.random.default_rng(7)
    cotangents = [torch.tensor(rng.normal(size=tuple(out.shape))).to(out.dtype) for out in outputs]
    given: dict[str, Any] = {f"output {i}": out for i, out in enumerate(outputs)}
    for i, out in enumerate(outputs):
        mask = getattr(out, "_keras_mask", None)
        if mask is not None:
            given[f"mask of output {i}"] = mask
    differentiable = [out for out in outputs if out.requires_grad]
    if differentiable:
        chosen = [c for out, c in zip(outputs, cotangents, strict=True) if out.requires_grad]
        found = torch.autograd.grad(
            differentiable, [*sources, *weights], chosen, allow_unused=True, retain_graph=False
        )
        names = [f"gradient of input {i}" for i in range(len(sources))]
        names += [f"gradient of {v.name} {i}" for i, v in enumerate(model.trainable_variables)]
        given |= {n: g for n, g in zip(names, found, strict=True) if g is not None}
    variables = {
        f"variable {i} {v.name}": np.array(v, "float64") for i, v in enumerate(model.variables)
    }
    for variable, value in zip(model.variables, before, strict=True):
        variable.assign(value)
    return Result({name: _to_numpy(tensor) for name, tensor in given.items()}, variables)


def run_keras(
    model: keras.Model, arrays: Sequence[Any], training: bool, dtype: torch.dtype = torch.float32
) -> Result:
    """Run Keras' own call."""
    return run(lambda x, training: model(x, training=training), model, arrays, training, dtype)


def run_lowered(
    lowered: Lowered, model: keras.Model, arrays: Sequence[Any], training: bool
) -> Result:
    """Run the lowered call."""
    return run(lowered, model, arrays, training)


def exact(
    case: Case, model: keras.Model, arrays: Sequence[Any], training: bool, frozen: bool
) -> Result:
    """Run the same model, with the same variables, in float64."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        copy, layer = model_of(case, "float64")
        for mine, theirs in zip(copy.variables, model.variables, strict=True):
            mine.assign(np.array(theirs))
        layer.trainable = not frozen
        return run_keras(copy, arrays, training, torch.float64)
    finally:
        keras.config.set_dtype_policy(policy)


def tolerance_of(layer: Any) -> Tolerance:
    """Return what the rule of a layer promises."""
    rule = all_rules().get(type(layer))
    return rule.tolerance if rule else Tolerance()


def complaints(
    found: dict[str, np.ndarray[Any, Any]],
    expected: dict[str, np.ndarray[Any, Any]],
    tolerance: float,
    truth: Callable[[], dict[str, np.ndarray[Any, Any]]] | None = None,
    zero: Sequence[str] = (),
) -> list[str]:
    """Return a sentence for each array that is not as expected."""
    if found.keys() != expected.keys():
        return [f"gave {sorted(found)} instead of {sorted(expected)}"]
    said = []
    largest = max((np.max(np.abs(value), initial=0.0) for value in expected.values()), default=0.0)
    for name, value in expected.items():
        if found[name].shape != value.shape:
            said.append(f"{name} has shape {found[name].shape} instead of {value.shape}")
            continue
        error = distance(found[name], value)
        if name in zero:
            error = float(np.max(np.abs(found[name] - value)) / largest)
        if error <= tolerance:
            continue
        if truth is not None:
            right = truth()[name]
            mine, theirs = distance(found[name], right), distance(value, right)
            if mine <= max(2 * theirs, tolerance):
                continue
            said.append(f"{name} is {mine:.1e} off from float64, Keras {theirs:.1e}")
        else:
            said.append(f"{name} is {error:.1e} off")
    return said


def distance(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    """Return the largest difference, relative to the largest value of the other."""
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    if same.all():
        return 0.0
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(one - other))
    return float(np.max(difference) / max(_size(other), 1e-30))


def _size(array: np.ndarray[Any, Any]) -> float:
    return float(np.max(np.abs(np.where(np.isfinite(array), array, 0.0)), initial=0.0))


def _to_numpy(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    return tensor.detach().to(torch.float64).numpy()
