"""From the graph of a Keras model to a flat list of native calls."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import keras
import torch
from keras.src.models.functional import Functional

from slipstream.lowering._inputs import Inputs
from slipstream.lowering._registry import lower_layer
from slipstream.lowering._rule import Call, Fallback, NotLoweredError, Run, Slot

# What steps are given while no tensor carries a mask.
NO_MASKS: tuple[None, ...] = (None,) * 1024


@dataclass(frozen=True, slots=True)
class _Masking:
    """A layer that passes masks on, and how it is called."""

    layer: Any
    call: Call

    def hand_on(self, tensors: Sequence[Any], masks: Sequence[Any], result: Any) -> None:
        """Hang the masks on a result that Keras' own call would hang there."""
        first = next(iter(self.call.arguments.values()))
        explicit = self.call.arguments.get("mask")
        # A mask that the call was given counts, or else that of its first argument.
        previous = _filled(first, masks) if explicit is None else _filled(explicit, tensors)
        self.layer._set_mask_metadata(_filled(first, tensors), result, previous)


@dataclass(frozen=True, slots=True)
class _Step:
    """One node: what it runs, which values it takes and gives, which nobody needs after it."""

    run: Run
    takes: tuple[int, ...]
    gives: tuple[int, ...]
    spent: tuple[int, ...]
    masking: _Masking | None


class NotAGraphError(Exception):
    """The model is no plain functional or Sequential model; says why."""


@final
class Graph:
    """A functional or Sequential model as a list of calls on its own variables.

    Args:
        model: A built Keras model.
        path: Names of the models around it, for messages.

    Attributes:
        fallbacks: The nodes that Keras runs itself, and why.
        num_lowered: How many nodes run natively, nested models' included.
        may_mask: Whether a tensor of the graph may carry a mask that did not arrive with an input.

    Raises:
        NotAGraphError: The model has no graph, or a call of its own.
    """

    def __init__(self, model: Any, path: str = "") -> None:
        self._functional = functional_of(model)
        self._model = model
        self._path = path
        self._places: dict[int, int] = {}
        self.fallbacks: list[Fallback] = []
        self.num_lowered = 0
        self.may_mask = False
        self.flatten = Inputs(self._functional, check=isinstance(model, Functional))
        self._inputs = tuple(self._place(tensor) for tensor in self._functional.inputs)
        nodes = list(_computable_nodes(self._functional))
        runs = [self._lower(node) for node in nodes]
        # Places are given here, because every node's tensors must have theirs before the last use
        # of any is known.
        takes = [tuple(self._place(tensor) for tensor in node.input_tensors) for node in nodes]
        gives = [tuple(self._place(tensor) for tensor in node.outputs) for node in nodes]
        self._outputs = tuple(self._place(tensor) for tensor in self._functional.outputs)
        spent = _last_uses(takes, gives, self._outputs)
        self._steps = [
            _Step(run, takes[i], gives[i], spent[i], masking)
            for i, (run, masking) in enumerate(runs)
        ]

    def __call__(self, x: Any, training: bool) -> Any:
        """Return what the model returns, in the structure in which it returns it."""
        return self.pack(self.run(self.flatten(x), training, with_masks=self.may_mask))

    def pack(self, outputs: Sequence[Any]) -> Any:
        """Return flat outputs in the structure in which the model returns them."""
        struct = self._functional._outputs_struct
        if isinstance(struct, keras.KerasTensor):
            return outputs[0]
        packed = keras.tree.pack_sequence_as(struct, list(outputs))
        # As Keras' functional models do: a list of one is that one.
        return packed[0] if isinstance(packed, list | tuple) and len(packed) == 1 else packed

    def run(self, inputs: Sequence[Any], training: bool, *, with_masks: bool) -> list[Any]:
        """Return the flat outputs for flat inputs."""
        values: list[Any] = [None] * len(self._places)
        for place, tensor in zip(self._inputs, inputs, strict=True):
            values[place] = tensor
        for step in self._steps:
            tensors = [values[place] for place in step.takes]
            result = (_run_with_masks if with_masks else _run_plain)(step, tensors, training)
            if len(step.gives) == 1 and isinstance(result, torch.Tensor):
                values[step.gives[0]] = result
            else:
                for place, value in zip(step.gives, keras.tree.flatten(result), strict=True):
                    values[place] = value
            for place in step.spent:
                values[place] = None
        return [values[place] for place in self._outputs]

    def _place(self, tensor: Any) -> int:
        return self._places.setdefault(id(tensor), len(self._places))

    def _lower(self, node: Any) -> tuple[Run, _Masking | None]:
        operation = node.operation
        is_layer = isinstance(operation, keras.layers.Layer)
        if not is_layer and not _uses_variables(node):
            # An operation is a thin cover of PyTorch's own.
            return _keras_call(node), None
        try:
            call = call_of(node)
            run = self._nested(operation, call) if _is_model(operation) else None
            if run is None:
                run = lower_layer(operation, call)
                self.num_lowered += 1
                self.may_mask |= makes_masks(operation) or "mask" in call.arguments
        except (NotLoweredError, NotAGraphError) as reason:
            name = f"{self._path}{operation.name}"
            self.fallbacks.append(Fallback(name, type(operation).__name__, str(reason)))
            # What Keras calls itself may hang masks on what it returns.
            self.may_mask |= is_layer
            return _keras_call(node), None
        passes = not _is_model(operation) and operation.supports_masking
        return run, _Masking(operation, call) if passes else None

    def _nested(self, model: Any, call: Call) -> Run:
        graph = Graph(model, f"{self._path}{model.name}/")
        if graph.fallbacks and model.compute_dtype != self._model.compute_dtype:
            raise NotLoweredError(f"it computes in {model.compute_dtype}, unlike what is around it")
        struct, *others = call.arguments.values()
        mask = call.mask()
        if others and (len(others) > 1 or mask is None or not isinstance(struct, Slot)):
            raise NotLoweredError("it is called with more than its inputs")
        if not all(isinstance(slot, Slot) for slot in keras.tree.flatten(struct)):
            raise NotLoweredError("it is called with more than tensors")
        self.fallbacks += graph.fallbacks
        self.num_lowered += graph.num_lowered
        self.may_mask |= graph.may_mask

        def run(tensors: Any, masks: Any, training: bool) -> Any:
            del masks
            flat = graph.flatten(_filled(struct, tensors))
            if mask is not None:
                flat[0]._keras_mask = tensors[mask.index]
            # Masks may arrive with the inputs.
            with_masks = graph.may_mask or any(
                getattr(tensor, "_keras_mask", None) is not None for tensor in flat
            )
            return graph.run(flat, training, with_masks=with_masks)

        return run


def functional_of(model: Any) -> Any:
    """Return the functional model behind a model; raises NotAGraphError where there is none."""
    functional = model
    if isinstance(model, keras.Sequential):
        functional = getattr(model, "_functional", None)
        if type(model).call is not keras.Sequential.call or functional is None:
            raise NotAGraphError("a Sequential model that is not built, or has a call of its own")
    if not isinstance(functional, Functional):
        raise NotAGraphError("a subclass of keras.Model without a graph")
    if type(functional).call is not Functional.call or "call" in vars(model):
        raise NotAGraphError("a functional model with a call of its own")
    return functional


def call_of(node: Any) -> Call:
    """Return how a node of a functional graph calls its operation.

    Raises:
        NotLoweredError: The arguments do not fit the operation's own signature.
    """
    slots = iter(range(len(node.input_tensors)))

    def slot(value: Any) -> Any:
        if not isinstance(value, keras.KerasTensor):
            return value
        return Slot(next(slots), value.dtype, tuple(value.shape))

    args, kwargs = node.arguments.convert(slot)
    # Keras overrides it by that of the whole model's call.
    kwargs.pop("training", None)
    try:
        bound = inspect.signature(node.operation.call).bind(*args, **kwargs)
    except TypeError as error:
        raise NotLoweredError(f"its call takes other arguments: {error}") from error
    named = {
        name: value
        for name, value in bound.arguments.items()
        if value is not None and name != "training"
    }
    return Call(named)


def makes_masks(operation: Any) -> bool:
    """Whether a layer gives masks to outputs whose inputs had none."""
    return isinstance(operation, keras.layers.Masking) or bool(
        getattr(operation, "mask_zero", False)
    )


def _computable_nodes(functional: Any) -> Iterator[Any]:
    """Yield the nodes that the inputs suffice for, in the order in which Keras runs them."""
    known = {id(tensor) for tensor in functional.inputs}
    by_depth = functional._nodes_by_depth
    for depth in sorted(by_depth, reverse=True):
        for node in by_depth[depth]:
            if node.is_input or not node.operation:
                continue
            if all(id(tensor) in known for tensor in node.input_tensors):
                known |= {id(tensor) for tensor in node.outputs}
                yield node


def _last_uses(
    takes: Sequence[tuple[int, ...]], gives: Sequence[tuple[int, ...]], outputs: tuple[int, ...]
) -> list[tuple[int, ...]]:
    """Return for each step the values that neither a later one nor the outputs need."""
    needed = set(outputs)
    spent = []
    for taken, given in zip(reversed(takes), reversed(gives), strict=True):
        here = {*taken, *given}
        spent.append(tuple(sorted(here - needed)))
        needed |= here
    return spent[::-1]


def _run_plain(step: _Step, tensors: list[Any], training: bool) -> Any:
    return step.run(tensors, NO_MASKS, training)


def _run_with_masks(step: _Step, tensors: list[Any], training: bool) -> Any:
    masks = [getattr(tensor, "_keras_mask", None) for tensor in tensors]
    result = step.run(tensors, masks, training)
    if step.masking is not None:
        step.masking.hand_on(tensors, masks, result)
    return result


def _filled(slots: Any, values: Sequence[Any]) -> Any:
    if isinstance(slots, Slot):
        return values[slots.index]
    return keras.tree.map_structure(
        lambda slot: values[slot.index] if isinstance(slot, Slot) else slot, slots
    )


def _is_model(operation: Any) -> bool:
    return isinstance(operation, keras.Model)


def _uses_variables(node: Any) -> bool:
    """Whether a node takes variables, which Keras casts to the dtype of the model around it."""
    flat = keras.tree.flatten([node.arguments.args, node.arguments.kwargs])
    return any(isinstance(argument, keras.Variable) for argument in flat)


def _keras_call(node: Any) -> Run:
    operation = node.operation
    takes_training = "training" in getattr(operation, "_call_context_args", ())
    is_layer = isinstance(operation, keras.layers.Layer)
    # What Keras wraps around the call of an operation serves error messages.
    called = operation if is_layer or operation._remat_mode else operation.call
    places = [id(tensor) for tensor in node.input_tensors]

    def run(tensors: Any, masks: Any, training: bool) -> Any:
        del masks
        args, kwargs = node.arguments.fill_in(dict(zip(places, tensors, strict=True)))
        if takes_training:
            kwargs["training"] = training
        return called(*args, **kwargs)

    return run
