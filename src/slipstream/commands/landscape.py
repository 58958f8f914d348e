"""The loss around the weights that a run left in its folder: picture and sharpness."""

from __future__ import annotations

import time
from pathlib import Path

from slipstream.commands.folders import LANDSCAPE_PICTURE
from slipstream.commands.look import launch_for, not_opened
from slipstream.commands.show import hidden, shown
from slipstream.errors import RecordError, TrainingError
from slipstream.loss_surface import Landscape, LandscapeSettings, write_landscape
from slipstream.measure import Failed, require_backend
from slipstream.measure.messages import LookAround
from slipstream.plan import Plan
from slipstream.progress import Listener, StageDone, StageStarted, silent
from slipstream.record import WEIGHTS_FILE, Record, read_record
from slipstream.report.landscape import write_picture


def landscape(
    folder: str | Path,
    *,
    points: int = 15,
    span: float = 1.0,
    examples: int = 512,
    seed: int = 0,
    progress: bool = True,
) -> Landscape:
    """Compute the loss around a run's weights, along two random directions, and its sharpness.

    L(w + a * d1 + b * d2), with each filter of d1 and d2 as long as the weights' own; and the
    largest eigenvalue of the Hessian at w. The task's own loss, on training examples, as in
    inference. Writes landscape.json and landscape.html into the folder.

    Args:
        folder: The folder of one run, with its weights.
        points: Points along each direction, at least 3.
        span: How far to go each way; 1 is a step as long as each filter itself.
        examples: Training examples on which the loss is computed, at most.
        seed: What directions and examples follow from.
        progress: Whether to show progress.

    Raises:
        RecordError: The folder holds no run, or no weights of its task's model.
        TrainingError: The process that computes it ended.

    Example:
        >>> found = landscape("runs/digits")  # doctest: +SKIP
        >>> found.sharpness  # doctest: +SKIP
        41.7

    Source: Li et al., 2018, "Visualizing the Loss Landscape of Neural Nets" (arXiv:1712.09913).
    """
    settings = LandscapeSettings(points=points, span=span, examples=examples, seed=seed)
    with shown() if progress else hidden() as listener:
        return look_around(Path(folder), settings, listener)


def look_around(
    folder: Path, settings: LandscapeSettings, listener: Listener = silent
) -> Landscape:
    """See `landscape`."""
    record = _record(folder)
    require_backend(record.backend)
    start = time.monotonic()
    what = f"{settings.points} x {settings.points} points around the weights in {folder}"
    listener(StageStarted("landscape", what))
    with launch_for(record.reference).worker(record.backend, "landscape") as worker:
        opened = worker.open()
        if isinstance(opened, Failed):
            raise not_opened(opened, record.reference)
        weights = str((folder / WEIGHTS_FILE).absolute())
        plan = Plan.from_dict(record.plan)
        answer = worker.look_around(LookAround(plan=plan, weights=weights, settings=settings))
    if isinstance(answer, Failed):
        raise TrainingError(
            "a process that computes the loss around the weights",
            f"{answer.kind}: {answer.message}",
            "Take fewer --points or --examples.",
            code="SLP-508",
        )
    write_landscape(answer.landscape, folder)
    write_picture(answer.landscape, folder / LANDSCAPE_PICTURE)
    listener(StageDone("landscape", answer.landscape.sentence(), time.monotonic() - start))
    return answer.landscape


def _record(folder: Path) -> Record:
    record = read_record(folder)
    if not (folder / WEIGHTS_FILE).is_file():
        raise RecordError(
            f"the weights of a run in {folder / WEIGHTS_FILE}",
            "no such file",
            "Name the folder of one run of 'slipstream fit', or one below runs/ of a study.",
            code="SLP-626",
        )
    if not record.plan or not record.reference:
        raise RecordError(
            f"a run in {folder} that followed a plan",
            "one of a script or of a model without a task",
            "Train it with 'slipstream fit TASK' first.",
            code="SLP-627",
        )
    return record
