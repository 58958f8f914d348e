"""Writes a run's curves for TensorBoard, without TensorFlow."""

from __future__ import annotations

import html
import logging
import math
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from slipstream.engine.events import (
    Evaluated,
    Event,
    Finished,
    Looked,
    Pictured,
    Progress,
    Signalled,
    Started,
)
from slipstream.observers._pictures import sheet
from slipstream.plan import Plan
from slipstream.record import Record

# How far what is on disk may lag behind, for those who watch the curves grow.
FLUSH_SECONDS = 2
# What Markdown takes for more than a letter; < and & are told as HTML tells them.
_MARKS = re.compile(r"[\\`*_\[\]]")
# Bars of a histogram; all are equally wide, which NumPy counts fastest.
NUM_BARS = 64
# Of more numbers than these an even sample is drawn: its bars are within a hundredth of all, and
# counting millions after each epoch would cost more than looking at them.
MOST_COUNTED = 2**16
# Where the library warns of values that are not finite.
_VALUES = logging.getLogger("tensorboardX.x2num")


@final
class TensorBoardWriter:
    """Observer that writes every evaluation, and at the end the plan with what it came to.

    Curves are drawn over optimizer updates: loss and metrics, those of the validation split under
    "validation/", the others under "training/", the learning rate, and examples per second. What
    the plan's [monitoring] looks at comes with it: norms of gradients, shares of dead units,
    histograms of weights, gradients and activations, wrongly classified images; and as text what
    the run showed.

    Args:
        folder: Where the events file goes; made if it is not there.
        goes_on: Whether the folder may hold curves of this run: TensorBoard then leaves out what
            was drawn after the point where it goes on, which is its beginning unless `restore`
            says more.
    """

    def __init__(self, folder: Path, goes_on: bool = False) -> None:
        # Here, before the run's clock starts: the import takes more than a second.
        from tensorboardX import SummaryWriter

        self._open_writer = partial(SummaryWriter, str(folder), flush_secs=FLUSH_SECONDS)
        self._writer: Any = None
        self._purge_from = 0 if goes_on else None
        self._plan: Plan | None = None
        self._step = 0
        self._examples_per_second = 0.0

    def __call__(self, event: Event) -> None:
        """Write what the event tells; never asks to stop."""
        if isinstance(event, Started):
            self._plan = event.plan
        elif isinstance(event, Progress):
            self._examples_per_second = event.examples_per_second
        elif isinstance(event, Evaluated):
            self._write_evaluation(event)
        elif isinstance(event, Looked):
            self._write_layers(event)
        elif isinstance(event, Pictured):
            self._write_pictures(event)
        elif isinstance(event, Signalled):
            signal = event.signal
            kind, seen, advice = map(_as_text, (signal.kind, signal.seen, signal.advice))
            text = f"**{kind}** at epoch {signal.epoch:g}: {seen}. {advice}"
            self._open().add_text(f"signals/{signal.kind}", text, signal.step)
        elif isinstance(event, Finished):
            self._finish(event.record)

    def state(self) -> dict[str, int]:
        """Return up to which update curves are drawn."""
        return {"step": self._step}

    def restore(self, state: Mapping[str, int]) -> None:
        """Go on from where `state` was asked; what was drawn since counts no more."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        self._step = state["step"]
        self._purge_from = self._step + 1

    def _open(self) -> Any:
        # A run that never starts leaves no file.
        if self._writer is None:
            self._writer = self._open_writer(purge_step=self._purge_from)
        return self._writer

    def _write_scalar(self, tag: str, value: float, step: int) -> None:
        # What is not finite is drawn as such; that the library says so, too, is noise.
        before = _VALUES.disabled
        _VALUES.disabled = before or not math.isfinite(value)
        try:
            self._open().add_scalar(tag, value, step)
        finally:
            _VALUES.disabled = before

    def _write_evaluation(self, event: Evaluated) -> None:
        self._step = step = event.point.step
        for name, value in event.point.values.items():
            self._write_scalar(_tag(name), value, step)
        self._write_scalar("learning_rate", event.learning_rate, step)
        self._write_scalar("examples_per_second", self._examples_per_second, step)

    def _write_layers(self, event: Looked) -> None:
        writer, layers = self._open(), event.layers
        self._write_scalar("gradient_norm", layers.gradient_norm, layers.step)
        for gradient in layers.gradients:
            self._write_scalar(f"gradient_norms/{gradient.path}", gradient.norm, layers.step)
        for activation in layers.activations:
            if activation.dead is not None:
                self._write_scalar(f"dead_units/{activation.layer}", activation.dead, layers.step)
        for kind in ("weights", "gradients", "activations"):
            for name, values in getattr(event, kind).items():
                histogram = _histogram(values)
                if histogram:
                    tag = f"{kind}/{name}"
                    writer.add_histogram_raw(tag, **histogram, global_step=layers.step)

    def _write_pictures(self, event: Pictured) -> None:
        writer = self._open()
        writer.add_scalar("validation/wrong_of_seen", event.num_wrong / event.num_seen, event.step)
        if event.captions:
            page = sheet(event.images, event.captions)
            writer.add_image("wrong_predictions", page, event.step, dataformats="HWC")

    def _finish(self, record: Record) -> None:
        writer = self._open()
        for summary in _hyperparameters(self._plan, record):
            writer.file_writer.add_summary(summary, record.updates)
        writer.close()
        self._writer = None


def _as_text(text: str) -> str:
    r"""Return what users name as Markdown that shows it: TensorBoard would load its pictures.

    Example:
        >>> _as_text("![a](https://example.org/b_c) <b>")
        '!\\[a\\](https://example.org/b\\_c) &lt;b&gt;'
    """
    return _MARKS.sub(r"\\\g<0>", html.escape(" ".join(text.split()), quote=False))


def _tag(name: str) -> str:
    if name.startswith("val_"):
        return f"validation/{name.removeprefix('val_')}"
    return f"training/{name}"


def _histogram(values: NDArray[Any]) -> dict[str, Any]:
    """Return what TensorBoard draws of some numbers; nothing where none of them is finite."""
    numbers = _sampled(values).astype(np.float32, copy=False)
    if not np.isfinite(numbers.sum()):
        numbers = numbers[np.isfinite(numbers)]
    if numbers.size == 0:
        return {}
    low, high = float(numbers.min()), float(numbers.max())
    if low == high:
        # One bar, and none of no width.
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(numbers, NUM_BARS, (low, high))
    return {
        "min": low,
        "max": high,
        "num": numbers.size,
        "sum": float(numbers.sum(dtype=np.float64)),
        "sum_squares": float(np.dot(numbers, numbers)),
        "bucket_limits": edges[1:].tolist(),
        "bucket_counts": counts.tolist(),
    }


def _sampled(values: NDArray[Any]) -> NDArray[Any]:
    """Return an even sample of many numbers, in one piece.

    Example:
        >>> _sampled(np.arange(3 * MOST_COUNTED).reshape(-1, 3))[:4].tolist()
        [0, 4, 8, 12]
    """
    step = max(1, -(-values.size // MOST_COUNTED))
    # Each unit in its turn: a step with a divisor in common would see some of them alone.
    while values.ndim > 1 and math.gcd(step, values.shape[-1]) > 1:
        step += 1
    return np.ascontiguousarray(values.reshape(-1)[::step])


def _hyperparameters(plan: Plan | None, record: Record) -> tuple[Any, ...]:
    """Return the three summaries that TensorBoard's table of hyperparameters reads."""
    from tensorboardX.summary import hparams, scalar

    # TensorBoard's table has no place for what is not a number.
    metrics = {
        f"final/{name}": value
        for name, value in record.final_values.items()
        if math.isfinite(value)
    }
    if record.best_value is not None:
        metrics[f"best/{record.monitor}"] = record.best_value
    settings = plan.flat() if plan else {}
    return (
        *hparams(settings, metrics),
        *(scalar(name, value) for name, value in metrics.items()),
    )
