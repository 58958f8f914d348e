"""Updates that would ruin a training: found, and undone."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from slipstream.backends import Program, is_undefined_loss, not_finite
from slipstream.engine.feed import Feed
from slipstream.engine.left_out import LeftOut
from slipstream.engine.recorder import Recorder
from slipstream.engine.trouble import UNDEFINED, TroubleError, chance
from slipstream.plan import Plan
from slipstream.signals import Spikes

# A look takes at most this share of the time, and a copy of the state that much again.
SHARE, SELDOM_SECONDS = 0.003, 1.0
# Where an update is looked for among many, the state is looked at after each such part of them.
PARTS = 16


@final
class Guard:
    """Finds updates that go wrong.

    It looks at the loss and at the state about once a second, before evaluations and before
    checkpoints. Where a state is not finite it has the run made again from the last state that
    was, looking more and more often, until one update is left: so it is named exactly though
    nothing is looked at in each step. Updates are made again bit for bit, and what is found does
    not depend on when it was looked at.

    Args:
        plan: The plan.
        feed: The training split, cut into updates.
        recorder: Where events go.

    Attributes:
        left_out: What is left out, and what follows from that.
    """

    def __init__(self, plan: Plan, feed: Feed, recorder: Recorder) -> None:
        self._settings = settings = plan.guard
        self._feed = feed
        self._recorder = recorder
        self._spikes = Spikes(settings.spike, settings.window) if settings.spike > 0 else None
        self.left_out = LeftOut(plan, feed, recorder)
        self._always: set[str] | None = None
        # The state that the run can go back to.
        self._kept_at = 0
        self._kept_spikes = self._spikes.state() if self._spikes else {}
        # After how many updates the state is looked at, and until which one; 0 is seldom.
        self._stride, self._until = 0, 0
        # Up to which update those go that are being made.
        self._making = 0
        self._rows: list[NDArray[np.float64]] = []
        self._told_to = 0
        self._next_look = self._next_copy = 0.0

    @property
    def is_on(self) -> bool:
        """Whether it looks at anything."""
        return self._settings.non_finite or self._spikes is not None

    @property
    def is_searching(self) -> bool:
        """Whether it looks for one update among several that are made again."""
        return self._stride > 0

    def state(self) -> dict[str, Any]:
        """Return what it knows, as plain values; right after a look."""
        return {
            "left_out": self.left_out.state(),
            "spikes": self._spikes.state() if self._spikes else {},
        }

    def restore(self, state: Mapping[str, Any], update: int) -> None:
        """Know what `state` returned after so many updates."""
        self.left_out.restore(state["left_out"])
        if self._spikes is not None:
            self._spikes.restore(state["spikes"])
        self._told_to = update

    def use(self, feed: Feed) -> None:
        """Go on with a feed of the same updates."""
        self._feed = feed
        self.left_out.use(feed)

    def runs(self, update: int, count: int) -> Iterator[tuple[int, bool]]:
        """Cut the next updates where something is done between them.

        Args:
            update: Updates before them.
            count: How many they are.

        Returns:
            Of each piece its length, and whether it is made; the others are left out.
        """
        end = update + count
        while update < end:
            if update in self.left_out:
                yield 1, False
                update += 1
                continue
            stop = self.left_out.first_in(update, end)
            if self._stride:
                stop = min(stop, update + self._stride)
            self._making = stop
            yield stop - update, True
            update = stop

    def collect(self, program: Program) -> None:
        """Take over the losses that a program tells, before another one takes its place."""
        if self._spikes is not None:
            self._rows.append(program.read_losses())

    def is_due(self) -> bool:
        """Whether it is time for a look."""
        return self.is_on and (self.is_searching or time.perf_counter() >= self._next_look)

    def wants_copy(self) -> bool:
        """Whether it is time to keep the state that was just looked at."""
        return self.is_searching or time.perf_counter() >= self._next_copy

    def kept(self, update: int, model: Any, seconds: float) -> None:
        """Note that the run keeps its state, which is well, after so many updates.

        Args:
            update: How many.
            model: The model; its variables hold the state.
            seconds: What the copy took.
        """
        if self._always is None and self.is_on:
            # What a model holds from the start is meant.
            self._always = not_finite(model)
        self._kept_at = update
        self._kept_spikes = self._spikes.state() if self._spikes else {}
        now = time.perf_counter()
        self._next_look = max(self._next_look, now + SELDOM_SECONDS)
        self._next_copy = now + max(SELDOM_SECONDS, seconds / SHARE)

    def look(self, program: Program, model: Any, update: int) -> None:
        """Look at the losses since the last look and at the state after so many updates.

        Raises:
            TroubleError: They are not well.
        """
        if not self.is_on:
            return
        start = time.perf_counter()
        self._judge(program, model, update)
        if self._stride and update >= self._until:
            self._stride = 0
            epoch = update / self._feed.updates_per_epoch
            self._recorder.signal(chance(update, self._until, epoch))
        now = time.perf_counter()
        self._next_look = now + max(SELDOM_SECONDS, (now - start) / SHARE)

    def _judge(self, program: Program, model: Any, update: int) -> None:
        if self._spikes is not None:
            self._judge_losses(program, self._spikes, update)
        if not self._settings.non_finite:
            return
        if not math.isfinite(program.peek_metrics().get("loss", 0.0)):
            raise TroubleError(update - 1, "non_finite", UNDEFINED)
        program.synchronize()
        if not_finite(model) - (self._always or set()):
            raise TroubleError(update - 1, "non_finite", "gradients that are not finite")

    def _judge_losses(self, program: Program, spikes: Spikes, update: int) -> None:
        self.collect(program)
        rows = np.concatenate(self._rows)
        places = [one for one in range(self._told_to, update) if one not in self.left_out]
        self._rows, self._told_to = [], update
        # Nothing is measured of what overflows, or by a step that does not track its loss.
        told = [(at, row[0] / row[1]) for at, row in zip(places, rows, strict=False) if row[1] > 0]
        finite = [loss for _, loss in told]
        end = next((i for i, loss in enumerate(finite) if not math.isfinite(loss)), len(finite))
        place = spikes.first(finite[:end])
        if place is not None:
            seen = (
                f"a loss of {finite[place]:.4g}, more than {self._settings.spike:g} deviations "
                f"above the {spikes.middle:.4g} that was usual before"
            )
            raise TroubleError(told[place][0], "loss_spike", seen)

    def trouble_of(self, error: Exception, update: int) -> TroubleError | None:
        """Return what an error tells of the updates that were being made; None for nothing.

        Args:
            error: What ended them.
            update: Updates made before them.
        """
        is_of_update = self._settings.non_finite and is_undefined_loss(error)
        if not is_of_update or self._making <= update:
            return None
        return TroubleError(self._making - 1, "non_finite", UNDEFINED)

    def meet(self, trouble: TroubleError) -> str:
        """Decide what is done about it; the run is to go back then.

        Returns:
            What the record is to say of it, beside events; "" for nothing.

        Raises:
            TrainingError: Too much went wrong lately.
        """
        start, end = self._kept_at, trouble.update + 1
        made = end - start - self.left_out.between(start, end)
        if trouble.kind == "non_finite" and made > 1:
            self._stride, self._until = max(1, made // PARTS), end
            return ""
        self._stride = 0
        update = max((one for one in range(start, end) if one not in self.left_out), default=start)
        return self.left_out.add(update, trouble)

    def back(self, program: Program) -> None:
        """Note that the run stands at the state that was kept."""
        if self._spikes is not None:
            program.read_losses()
            self._spikes.restore(self._kept_spikes)
        self._rows, self._told_to = [], self._kept_at
