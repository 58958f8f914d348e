"""Repeat or leave out the blocks of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import keras

from slipstream.errors import InputError
from slipstream.rewrite.blocks import SUMS, Block, blocks_of, runs_of
from slipstream.rewrite.branches import end_of_branch, makers_of, zero
from slipstream.rewrite.graph import Edit, Names, Place, copy_model, has_graph
from slipstream.rewrite.residual import closed_gate


def scale_depth(model: Any, factor: float) -> tuple[Any, str]:
    """Return a copy with more or fewer of its repeated blocks, and what was done.

    n blocks of equal shape in a row become max(1, round(n * factor)).

    New ones are copies of the last ones, as a row, with weights of their own that begin as the
    identity: a residual block with nothing in its branch, or y = x + gate * f(x) with gates that
    begin at 0.
    So a deeper copy gives what the model gave until it is trained. Where there are residual
    blocks, they alone are counted.

    Args:
        model: A built Keras model with a graph of layers.
        factor: How many times as many blocks.

    Raises:
        InputError: The model has no graph, or no block whose output is shaped like its input, or
            as many as before.

    Source: Tan and Le, 2019, "EfficientNet" (arXiv:1905.11946); for the identity Chen, Goodfellow
    and Shlens, 2015, "Net2Net" (arXiv:1511.05641).
    """
    edit = _ScaleDepth(factor)
    copy = copy_model(model, edit)
    if edit.num_before == 0:
        raise InputError(
            "blocks of layers whose output is shaped like their input, within the model",
            f"none in '{model.name}'",
            "Leave its depth as it is.",
            code="SLP-706",
        )
    if edit.num_before == edit.num_after:
        raise InputError(
            f"a depth that changes the number of blocks in a row, {edit.num_before} in all",
            f"{factor:g}, which leaves all of them",
            "Set a depth further from 1.",
            code="SLP-707",
        )
    for layer in edit.silent:
        zero(layer)
    return copy, f"{edit.num_before} -> {edit.num_after} blocks"


@final
class _ScaleDepth(Edit):
    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._closed: set[int] = set()
        # By the id of the tensor in which a run ends: what is copied after it.
        self._copied: dict[int, list[Block]] = {}
        # By the id of the tensor in which what is left out ends: where it begins.
        self._left_out: dict[int, Any] = {}
        self.silent: list[Any] = []
        self.num_before = self.num_after = 0

    def study(self, graph: Any, is_whole: bool) -> None:
        blocks = blocks_of(graph, is_whole)
        residual = [block for block in blocks if _is_residual(block)]
        for run in runs_of(residual or blocks):
            wanted = max(1, round(len(run) * self._factor))
            self.num_before += len(run)
            self.num_after += wanted
            self._closed |= {id(node.operation) for block in run for node in block.nodes}
            if wanted > len(run):
                rows, others = divmod(wanted - len(run), len(run))
                self._copied[id(run[-1].end)] = run * rows + run[len(run) - others :]
            elif wanted < len(run):
                self._left_out[id(run[-1].end)] = run[wanted].start

    def goes_into(self, node: Any) -> bool:
        return id(node.operation) not in self._closed

    def after(self, node: Any, outputs: Any, at: Place) -> Any:
        key = id(node.outputs[0])
        if key in self._left_out:
            return at.tensors[id(self._left_out[key])]
        for block in self._copied.get(key, []):
            outputs = self._grown(block, outputs, at.names)
        return outputs

    def _grown(self, block: Block, tensor: Any, names: Names) -> Any:
        """Return a tensor after one more block, which changes nothing to begin with."""
        layers: dict[int, Any] = {}
        outputs = _run_anew(block.nodes, block.start, tensor, layers, names)
        end = _branch_end(block)
        if end is not None:
            self.silent.append(layers[id(end)])
            return outputs
        last = block.nodes[-1].operation.name
        gated = closed_gate(outputs, f"{last}_gate", names)
        return keras.layers.Add(name=names.new(f"{last}_sum"))([tensor, gated])


def _is_residual(block: Block) -> bool:
    """Whether there is a sum in it of what comes in and of what becomes of it."""
    return any(isinstance(node.operation, SUMS) for node in block.nodes)


def _branch_end(block: Block) -> Any | None:
    """Return the layer that ends the branch of y = x + f(x); None where it is no such block."""
    last = block.nodes[-1]
    if not isinstance(last.operation, SUMS) or len(last.input_tensors) != 2:
        return None
    branches = [tensor for tensor in last.input_tensors if tensor is not block.start]
    makers = makers_of(block.nodes)
    return end_of_branch(branches[0], makers) if len(branches) == 1 else None


def _run_anew(
    nodes: Sequence[Any], start: Any, tensor: Any, layers: dict[int, Any], names: Names
) -> Any:
    """Return what nodes make of another tensor, with layers of their own, noted by the old's id."""
    tensors = {id(start): tensor}
    for node in nodes:
        operation = node.operation
        if id(operation) not in layers:
            layers[id(operation)] = _fresh(operation, names)
        args, kwargs = node.arguments.fill_in(tensors)
        outputs = layers[id(operation)](*args, **kwargs)
        for old, new in zip(node.outputs, keras.tree.flatten(outputs), strict=True):
            tensors[id(old)] = new
    return tensors[id(nodes[-1].outputs[0])]


def _fresh(operation: Any, names: Names) -> Any:
    if has_graph(operation):
        copy = keras.models.clone_model(operation)
    else:
        copy = type(operation).from_config(operation.get_config())
    copy.name = names.new(f"{operation.name}_copy")
    return copy
