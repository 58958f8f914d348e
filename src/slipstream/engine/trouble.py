"""What is said of updates that go wrong: events, and the errors that a training ends with."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from slipstream.engine.feed import Feed
from slipstream.engine.recorder import Recorder
from slipstream.errors import TrainingError
from slipstream.plan import Plan
from slipstream.plan.parts import Guard
from slipstream.record import Point, Signal

ADVICE = "Lower schedule.peak, add schedule.warmup, or set clipping.global_norm = 1.0."
# How many numbers are named in a sentence; an event has them all.
NAMED = 5
LOOK = "Look at these examples (the record lists all)."
AT_FIRST = (
    "No learning rate has been applied yet: it is a matter of these examples, or of the model as "
    "it begins."
)
UNDEFINED = "a loss that is not finite"


class TroubleError(Exception):
    """Something is wrong: the run is to go back to the state that it has kept.

    Args:
        update: The update that did it, from 0, or the last one that may have done it.
        kind: "non_finite" or "loss_spike".
        seen: What was seen, in words.
    """

    def __init__(self, update: int, kind: str, seen: str) -> None:
        super().__init__(seen)
        self.update = update
        self.kind = kind
        self.seen = seen


def rows_of(examples: Collection[int], feed: Feed) -> str:
    """Return examples of the training split as whoever has the data finds them."""
    rows = feed.rows_before_split
    if rows is None:
        return in_words("row", examples, " of the training split")
    return in_words("row", [int(rows[one]) for one in examples], " of the data before the split")


def in_words(what: str, numbers: Collection[int], whole: str = "") -> str:
    """Return numbered things in words: the first few of many.

    Example:
        >>> in_words("row", [3], " of the training split")
        'row 3 of the training split'
        >>> in_words("update", [9, 8, 7, 6, 5, 4, 3])
        'updates 3, 4, 5, 6, 7 and 2 more'
    """
    named = ", ".join(map(str, sorted(numbers)[:NAMED]))
    more = f" and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
    return f"{what}{'s' if len(numbers) > 1 else ''} {named}{more}{whole}"


def same_trouble(updates: Sequence[int], rows: Sequence[int], feed: Feed) -> str:
    """Return what is said of an update that shares rows with some left out before."""
    before = in_words("update", [one + 1 for one in updates])
    return f", and counts as one trouble with {before}: {rows_of(rows, feed)} went wrong each time"


def rows_left_out(
    rows: Sequence[int], updates: int, epoch: int, feed: Feed, is_last: bool = False
) -> str:
    """Return what a record says of rows that are left out from now on.

    Args:
        rows: The rows.
        updates: How many updates had them, all of which went wrong.
        epoch: After how many epochs they are left out.
        feed: The training split, cut into updates.
        is_last: Whether training ends with that epoch.
    """
    is_one = len(rows) == 1
    which = rows_of(rows, feed)
    if is_last:
        them = "it" if is_one else "them"
        return (
            f"All {updates} updates that had {which} went wrong. Training would go on without "
            f"{them}, but epoch {epoch} is the last."
        )
    return (
        f"After epoch {epoch} training goes on without {which}: all {updates} updates that had "
        f"{'it' if is_one else 'them'} went wrong. The example that comes next stands in "
        f"{'its place' if is_one else 'their places'}."
    )


def chance(update: int, until: int, epoch: float) -> Signal:
    """Return what is told where updates that went wrong go well when they are made again."""
    return Signal(
        epoch=epoch,
        step=update,
        kind="non_finite",
        seen=f"something that was not finite by update {until}, and not when made again",
        advice="It is no matter of the examples: look at the machine, its memory and its driver.",
    )


def too_often(settings: Guard, seen: str, advice: str) -> TrainingError:
    """Return what a run ends with where too many updates went wrong."""
    more = max(1, 4 * settings.retries)
    return TrainingError(
        f"at most {settings.retries} updates left out within {settings.window} "
        f"(guard.retries = {settings.retries}, guard.window = {settings.window})",
        f"one more: {seen}",
        f"{advice} With guard.retries = {more} it would go on for longer.",
        code="SLP-501",
    )


def all_in_a_row(num: int, seen: str, advice: str) -> TrainingError:
    """Return what a run ends with where one update after the other went wrong."""
    return TrainingError(
        f"updates that go well between those that do not: {num} in a row end a run, whatever "
        "guard.retries is",
        f"{num} in a row: {seen}",
        f"{advice} Where nearly every batch has a broken example, mend the data.",
        code="SLP-501",
    )


def no_way_back(trouble: TroubleError, advice: str) -> TrainingError:
    """Return what a run ends with that has kept no state to go back to."""
    came = f"{trouble.seen} by update {trouble.update + 1}, and no state to go back to"
    return TrainingError("updates that are finite", came, advice, code="SLP-501")


def has_diverged(point: Point, plan: Plan, recorder: Recorder, advice: str) -> bool:
    """Whether a training loss is not finite; an event tells it.

    Under float16 the loss scale skips a step that overflows, yet its loss may be logged: the
    weights have suffered only if they fail on the validation split as well.

    Args:
        point: The last evaluation.
        plan: The plan.
        recorder: Where the event goes.
        advice: What may help.
    """
    loss, judged = (point.values.get(name, 0.0) for name in ("loss", "val_loss"))
    scaled = plan.precision.policy == "mixed_float16"
    if math.isfinite(loss) or (scaled and math.isfinite(judged)):
        return False
    seen, step = f"a training loss of {loss}", point.step
    recorder.signal(
        Signal(epoch=point.epoch, step=step, kind="divergence", seen=seen, advice=advice)
    )
    return True


def diverged(loss: float, update: int, epoch: float, advice: str) -> TrainingError:
    """Return what a run ends with whose training loss is not finite."""
    came = f"{loss} by update {update} (epoch {epoch:.2f})"
    return TrainingError("a finite training loss", came, advice, code="SLP-501")


def undefined(update: int, epoch: float, recorder: Recorder, advice: str) -> TrainingError:
    """Return what a run ends with whose loss cannot be computed; an event tells it.

    Args:
        update: Updates made before.
        epoch: How many epochs they are.
        recorder: Where the event goes.
        advice: What may help.
    """
    seen = f"a training loss of {math.nan}"
    signal = Signal(epoch=epoch, step=update, kind="divergence", seen=seen, advice=advice)
    recorder.signal(signal)
    return diverged(math.nan, update, epoch, advice)


def refuse_divergence(point: Point, plan: Plan, recorder: Recorder, advice: str) -> None:
    """End a run that has diverged; see `has_diverged`.

    Raises:
        TrainingError: It has.
    """
    if has_diverged(point, plan, recorder, advice):
        raise diverged(point.values["loss"], point.step, point.epoch, advice)
