"""From the graph of a Keras model to a flat list of native calls."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import torch
from keras.src.models.functional import Functional

from slipstream.lowering._registry import lower_layer
from slipstream.lowering._rule import Call, Fallback, NotLoweredError, Run, Slot

NO_MASKS: tuple[None, ...] = (None,) * 64


@dataclass(frozen=True, slots=True)
class _Step:
    """One node: which values it takes, what it runs, where its results go.

    `masking` is given where Keras' masks are to be passed on behind it.
    """

    run: Run
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    masking: _Masking | None


@dataclass(frozen=True, slots=True)
class _Masking:
    """A layer that passes masks on, and the slots of its first argument: one, or a list."""

    layer: Any
    first: Any


class NotAGraphError(Exception):
    """The model is no plain functional or Sequential model; says why."""


class Graph:
    """A functional or Sequential model as a list of calls on its own variables.

    Args:
        model: A built Keras model.
        path: Names of the models around it, for messages.

    Raises:
        NotAGraphError: The model has no graph, or a call of its own.
    """

    def __init__(self, model: Any, path: str = "") -> None:
        self._functional = functional_of(model)
        self._path = path
        self._places: dict[int, int] = {}
        self.fallbacks: list[Fallback] = []
        self.may_mask = False
        inputs = [self._place(tensor) for tensor in self._functional.inputs]
        self._inputs = tuple(inputs)
        # Masks arrive with the inputs of a model that stands in another.
        self._nodes = list(self._computable_nodes())
        self._steps: list[_Step] = []
        lowered = [self._lower(node) for node in self._nodes]
        for node, (run, masking) in zip(self._nodes, lowered, strict=True):
            takes = tuple(self._place(tensor) for tensor in node.input_tensors)
            gives = tuple(self._place(tensor) for tensor in node.outputs)
            self._steps.append(_Step(run, takes, gives, masking))
        self._outputs = tuple(self._place(tensor) for tensor in self._functional.outputs)

    @property
    def num_lowered(self) -> int:
        """How many calls run natively."""
        return len(self._steps) - len(self.fallbacks)

    def __call__(self, x: Any, training: bool) -> Any:
        """Return what the model returns, in the structure in which it returns it."""
        flat = self._functional._standardize_inputs(x)
        return self.pack(self.run(flat, training, self.may_mask))

    def pack(self, outputs: Sequence[torch.Tensor]) -> Any:
        """Return flat outputs in the structure in which the model returns them."""
        struct = self._functional._outputs_struct
        packed = keras.tree.pack_sequence_as(struct, list(outputs))
        # As Keras' functional models do: a list of one is that one.
        return packed[0] if isinstance(packed, list | tuple) and len(packed) == 1 else packed

    def run(
        self, inputs: Sequence[torch.Tensor], training: bool, with_masks: bool
    ) -> list[torch.Tensor]:
        """Return the flat outputs for flat inputs."""
        values: list[Any] = [None] * len(self._places)
        for place, tensor in zip(self._inputs, inputs, strict=True):
            values[place] = tensor
        for step in self._steps:
            tensors = [values[place] for place in step.inputs]
            if not with_masks:
                result = step.run(tensors, NO_MASKS, training)
            else:
                result = _run_with_masks(step, tensors, training)
            if len(step.outputs) == 1:
                values[step.outputs[0]] = result
            else:
                for place, value in zip(step.outputs, keras.tree.flatten(result), strict=True):
                    values[place] = value
        return [_single(values[place]) for place in self._outputs]

    def _place(self, tensor: Any) -> int:
        return self._places.setdefault(id(tensor), len(self._places))

    def _computable_nodes(self) -> Any:
        known = {id(tensor) for tensor in self._functional.inputs}
        by_depth = self._functional._nodes_by_depth
        for depth in sorted(by_depth, reverse=True):
            for node in by_depth[depth]:
                if node.is_input or not node.operation:
                    continue
                if all(id(tensor) in known for tensor in node.input_tensors):
                    known |= {id(tensor) for tensor in node.outputs}
                    yield node

    def _lower(self, node: Any) -> tuple[Run, _Masking | None]:
        operation = node.operation
        self.may_mask |= makes_masks(operation)
        call = call_of(node)
        try:
            if isinstance(operation, keras.Model):
                return self._nested(operation, call), None
            run = lower_layer(operation, call)
        except (NotLoweredError, NotAGraphError) as reason:
            name = f"{self._path}{operation.name}"
            self.fallbacks.append(Fallback(name, type(operation).__name__, str(reason)))
            # What Keras calls itself may hang masks on what it returns.
            self.may_mask |= isinstance(operation, keras.layers.Layer)
            return _keras_call(node), None
        passes = getattr(operation, "supports_masking", False)
        first = next(iter(call.arguments.values()))
        return run, _Masking(operation, first) if passes else None

    def _nested(self, model: Any, call: Call) -> Run:
        graph = Graph(model, f"{self._path}{model.name}/")
        self.fallbacks += graph.fallbacks
        self.may_mask |= graph.may_mask
        slots = list(call.arguments.values())
        flat = keras.tree.flatten(slots[0]) if len(slots) == 1 else []
        if not flat or not all(isinstance(slot, Slot) for slot in flat):
            raise NotLoweredError("it is called with more than its inputs")
        order = [slot.index for slot in flat]

        def run(tensors: Any, masks: Any, training: bool) -> Any:
            chosen = graph._functional._standardize_inputs(
                keras.tree.pack_sequence_as(slots[0], [tensors[i] for i in order])
            )
            outputs = graph.run(chosen, training, masks is not NO_MASKS)
            return outputs[0] if len(outputs) == 1 else outputs

        return run


def functional_of(model: Any) -> Any:
    """Return the functional model behind a model; raises NotAGraphError where there is none."""
    if isinstance(model, keras.Sequential):
        functional = model._functional
        if type(model).call is not keras.Sequential.call or functional is None:
            raise NotAGraphError("a Sequential model that is not built, or has a call of its own")
        return functional
    if not isinstance(model, Functional):
        raise NotAGraphError("a subclass of keras.Model without a graph")
    if type(model).call is not Functional.call:
        raise NotAGraphError("a functional model with a call of its own")
    return model


def call_of(node: Any) -> Call:
    """Return how a node of a functional graph calls its operation."""
    slots = iter(range(len(node.input_tensors)))

    def slot(value: Any) -> Any:
        return Slot(next(slots)) if isinstance(value, keras.KerasTensor) else value

    args, kwargs = node.arguments.convert(slot)
    bound = inspect.signature(node.operation.call).bind(*args, **kwargs)
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


def _run_with_masks(step: _Step, tensors: list[Any], training: bool) -> Any:
    masks = [getattr(tensor, "_keras_mask", None) for tensor in tensors]
    result = step.run(tensors, masks, training)
    if step.masking is not None:
        # The mask of the first argument goes on, as in Keras' own call.
        first = step.masking.first
        step.masking.layer._set_mask_metadata(
            _filled(first, tensors), result, _filled(first, masks)
        )
    return result


def _filled(slots: Any, values: Sequence[Any]) -> Any:
    return keras.tree.map_structure(
        lambda slot: values[slot.index] if isinstance(slot, Slot) else slot, slots
    )


def _keras_call(node: Any) -> Run:
    operation = node.operation
    takes_training = "training" in getattr(operation, "_call_context_args", ())
    places = [id(tensor) for tensor in node.input_tensors]

    def run(tensors: Any, masks: Any, training: bool) -> Any:
        del masks
        args, kwargs = node.arguments.fill_in(dict(zip(places, tensors, strict=True)))
        if takes_training:
            kwargs["training"] = training
        return operation(*args, **kwargs)

    return run


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
