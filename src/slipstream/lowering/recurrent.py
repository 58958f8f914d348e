"""LSTM, GRU and SimpleRNN through PyTorch's recurrent kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import keras
import torch
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from slipstream.lowering._cast import cast, compute_dtype, weight_of
from slipstream.lowering._draw import Dropout
from slipstream.lowering._gru_steps import gru_steps
from slipstream.lowering._kept_steps import KeptSteps
from slipstream.lowering._layout import restride
from slipstream.lowering._rule import Call, NotLoweredError, Rule, Run, Slot, Tolerance

Read = Callable[[], torch.Tensor]
Outputs = tuple[torch.Tensor, list[torch.Tensor]]
# Beyond so many units a GRU in half precision is faster by PyTorch's kernel.
MOST_UNITS = 64
TANH = (keras.activations.tanh, keras.ops.tanh)
SIGMOID = (keras.activations.sigmoid, keras.ops.sigmoid)
RELU = (keras.activations.relu, keras.ops.relu)


@final
@dataclass(frozen=True)
class _Kernel:
    """A recurrent kernel: maps sequences and first states to all outputs and last states.

    Args:
        function: Of `torch._VF`.
        weights: Reads what it takes, in its order.
        has_biases: Whether biases are among them.
        num_states: 2 for LSTM, 1 for others.
    """

    function: Callable[..., Any]
    weights: Callable[[], list[torch.Tensor]]
    has_biases: bool
    num_states: int = 1

    def __call__(self, x: torch.Tensor, states: Sequence[torch.Tensor]) -> Outputs:
        """Run whole sequences (batch, steps, features)."""
        settings = self._settings()
        y, *last = self.function(x, self._given(states), self.weights(), *settings, True)
        return y, [state.squeeze(0) for state in last]

    def packed(
        self, x: torch.Tensor, states: Sequence[torch.Tensor], lengths: torch.Tensor
    ) -> Outputs:
        """Run sequences to their own lengths; the last states are those at their ends."""
        data, sizes, order, back = pack_padded_sequence(
            x, lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        assert order is not None and back is not None
        given = self._given([state.index_select(0, order) for state in states])
        y, *last = self.function(data, sizes, given, self.weights(), *self._settings())
        packed = PackedSequence(y, sizes, order, back)
        padded, _ = pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])
        return padded, [state.squeeze(0).index_select(0, back) for state in last]

    def _given(self, states: Sequence[torch.Tensor]) -> Any:
        layers = [state.unsqueeze(0) for state in states]
        return layers[0] if self.num_states == 1 else tuple(layers)

    def _settings(self) -> tuple[Any, ...]:
        # One layer, no dropout between layers; ready for gradients; one direction.
        return self.has_biases, 1, 0.0, torch.is_grad_enabled(), False


def _weights(cell: Any, dtype: torch.dtype) -> tuple[Callable[[], list[torch.Tensor]], bool]:
    """Return what reads a cell's weights as PyTorch's kernels take them, and whether it has biases.

    Keras has one bias where PyTorch has two: the second is 0.
    """
    kernel, recurrent = _matrix(cell.kernel, dtype), _matrix(cell.recurrent_kernel, dtype)
    bias = _bias(cell, dtype)

    def weights() -> list[torch.Tensor]:
        matrices = [kernel().t(), recurrent().t()]
        if bias is None:
            return matrices
        value = bias()
        return [*matrices, value, torch.zeros_like(value)]

    return weights, bias is not None


def _lstm(cell: Any, dtype: torch.dtype) -> _Kernel:
    _check_activations(cell, cell.recurrent_activation)
    weights, has_biases = _weights(cell, dtype)
    return _Kernel(torch._VF.lstm, weights, has_biases, 2)


@final
@dataclass(frozen=True)
class _GruKernel:
    """A GRU: by PyTorch's kernel, or on the CPU by steps of our own where these are faster."""

    kernel: _Kernel
    matrices: tuple[Read, Read]
    bias: Read | None
    num_states: int = 1

    def __call__(self, x: torch.Tensor, states: Sequence[torch.Tensor]) -> Outputs:
        """Run whole sequences (batch, steps, features)."""
        units = states[0].shape[-1]
        if x.device.type != "cpu" or (x.dtype != torch.float32 and units > MOST_UNITS):
            return self.kernel(x, states)
        weight, recurrent = (read() for read in self.matrices)
        row, other = (None, x.new_zeros(3 * units)) if self.bias is None else self.bias().unbind()
        projected = functional.linear(x.transpose(0, 1), weight.t(), row)
        # In half precision the products of so few rows cost more than they save.
        steps = gru_steps(
            projected.float(), states[0].float(), recurrent.float(), other.float()
        ).to(x.dtype)
        return steps.transpose(0, 1), [steps[-1]]

    def packed(
        self, x: torch.Tensor, states: Sequence[torch.Tensor], lengths: torch.Tensor
    ) -> Outputs:
        """Run sequences to their own lengths; the last states are those at their ends."""
        return self.kernel.packed(x, states, lengths)


Kernel = _Kernel | _GruKernel


def _gru(cell: Any, dtype: torch.dtype) -> _GruKernel:
    _check_activations(cell, cell.recurrent_activation)
    if not cell.reset_after:
        raise NotLoweredError("it resets before the product with the state (reset_after=False)")
    kernel, recurrent = _matrix(cell.kernel, dtype), _matrix(cell.recurrent_kernel, dtype)
    bias = _bias(cell, dtype)

    def weights() -> list[torch.Tensor]:
        matrices = [_reset_first(kernel().t()), _reset_first(recurrent().t())]
        return matrices if bias is None else matrices + [_reset_first(row) for row in bias()]

    return _GruKernel(_Kernel(torch._VF.gru, weights, bias is not None), (kernel, recurrent), bias)


def _simple(cell: Any, dtype: torch.dtype) -> _Kernel:
    functions = torch._VF
    if cell.activation in RELU:
        function = functions.rnn_relu
    else:
        _check_activations(cell, keras.activations.sigmoid)
        function = functions.rnn_tanh
    weights, has_biases = _weights(cell, dtype)
    return _Kernel(function, weights, has_biases)


def _lower(
    kernel_of: Callable[[Any, torch.dtype], _Kernel | _GruKernel], layer: Any, call: Call
) -> Run:
    index = call.only_tensor("initial_state", "mask").index
    given, explicit = call.arguments.get("initial_state"), call.arguments.get("mask")
    _refuse_settings(layer)
    cell, dtype = layer.cell, compute_dtype(layer)
    drop = _input_dropout(cell)
    kernel = kernel_of(cell, dtype)
    state_slots = _slots(given, kernel.num_states)
    if explicit is not None and not isinstance(explicit, Slot):
        raise NotLoweredError("its mask is no tensor of the graph")

    def run(tensors: Any, masks: Any, training: bool) -> Any:
        x = drop(tensors[index].to(dtype), training)
        states = [cast(tensors[i], dtype) for i in state_slots]
        # Keras hands a sequence's own mask to layers that are called with this one tensor alone.
        mask = masks[index] if given is None and explicit is None else None
        if explicit is not None:
            mask = tensors[explicit.index]
        if not states:
            states = [x.new_zeros(len(x), cell.units)] * kernel.num_states
        if layer.go_backwards:
            x, mask = x.flip(1), mask if mask is None else mask.flip(1)
        if mask is None:
            outputs, last_states = kernel(x, states)
            last = last_states[0]
        else:
            outputs, last, last_states = _run_masked(kernel, x, states, mask, layer)
        output = outputs if layer.return_sequences else last
        return (output, *last_states) if layer.return_state else output

    return run


def _run_masked(
    kernel: _Kernel | _GruKernel,
    x: torch.Tensor,
    states: list[torch.Tensor],
    mask: torch.Tensor,
    layer: Any,
) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    """Return all outputs, the last one, and the last states."""
    kept = KeptSteps(mask)
    x = kept.in_front(x)
    if layer.return_state and kernel.num_states > 1:
        outputs, ends = kernel.packed(x, states, kept.lengths)
    else:
        # The whole sequence is faster, and tells the state of the last kept step too.
        outputs, _ = kernel(x, states)
        ends = [kept.last(outputs)]
    zeros = layer.zero_output_for_mask
    last = torch.where(kept.last_is_kept if zeros else kept.any, ends[0], 0)
    if layer.return_sequences:
        outputs = kept.in_place(outputs, zeros=zeros)
    if not layer.return_state:
        return outputs, last, []
    pairs = zip(ends, states, strict=True)
    return outputs, last, [torch.where(kept.any, end, state) for end, state in pairs]


def _refuse_settings(layer: Any) -> None:
    cell = layer.cell
    if layer.stateful:
        raise NotLoweredError("it is stateful")
    if cell.recurrent_dropout:
        raise NotLoweredError("it has recurrent dropout")
    if cell.dropout and getattr(cell, "implementation", 2) == 1:
        raise NotLoweredError("it drops the inputs of each gate apart (implementation 1)")
    if cell.compute_dtype != layer.compute_dtype or cell.variable_dtype == "float64":
        raise NotLoweredError(f"its cell computes in {cell.compute_dtype}")
    if type(cell) not in CELLS or "call" in vars(cell):
        raise NotLoweredError("its cell is not Keras' own")


def _check_activations(cell: Any, recurrent: Any) -> None:
    if cell.activation not in TANH or recurrent not in SIGMOID:
        raise NotLoweredError("its activations are others than tanh and sigmoid")


def _matrix(variable: Any, dtype: torch.dtype) -> Read:
    """Return how to read a kernel whose transpose is contiguous, as PyTorch keeps its own."""
    restride(variable, (1, 0))
    return weight_of(variable, dtype)


def _bias(cell: Any, dtype: torch.dtype) -> Read | None:
    return weight_of(cell.bias, dtype) if cell.use_bias else None


def _reset_first(rows: torch.Tensor) -> torch.Tensor:
    """Return rows in PyTorch's order of gates: reset, update, candidate; Keras' is 1, 0, 2."""
    update, reset, candidate = rows.chunk(3)
    return torch.cat([reset, update, candidate])


def _input_dropout(cell: Any) -> Callable[[torch.Tensor, bool], torch.Tensor]:
    """Return what drops features, the same at all steps of a sequence."""
    if not cell.dropout:
        return lambda x, _: x
    seeds, dropout = cell.seed_generator, Dropout(cell.dropout, cell.seed_generator)

    def drop(x: torch.Tensor, training: bool) -> torch.Tensor:
        if training:
            return x * dropout.mask((len(x), x.shape[-1]), x).unsqueeze(1)
        if seeds._initial_seed is not None:
            # Keras draws a mask it does not use.
            seeds.next()
        return x

    return drop


def _slots(given: Any, num_states: int) -> list[int]:
    """Return where the first states stand among the tensors of a call; nowhere if not given."""
    if given is None:
        return []
    slots = list(given) if isinstance(given, list | tuple) else [given]
    if len(slots) != num_states or not all(isinstance(slot, Slot) for slot in slots):
        raise NotLoweredError("its initial state is not one tensor for each state")
    return [slot.index for slot in slots]


CELLS = (keras.layers.LSTMCell, keras.layers.GRUCell, keras.layers.SimpleRNNCell)
RULES = (
    Rule((keras.layers.LSTM,), partial(_lower, _lstm), Tolerance(5e-6, 5e-2)),
    Rule((keras.layers.GRU,), partial(_lower, _gru), Tolerance(5e-6, 5e-2)),
    Rule((keras.layers.SimpleRNN,), partial(_lower, _simple), Tolerance(5e-6, 5e-2)),
)
