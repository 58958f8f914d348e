"""Which updates and examples a training goes on without, and when it has had enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from slipstream.engine import trouble as words
from slipstream.engine.feed import Feed
from slipstream.engine.recorder import Recorder
from slipstream.engine.trouble import ADVICE, TroubleError
from slipstream.errors import TrainingError
from slipstream.plan import Plan
from slipstream.record import Signal
from slipstream.signals import Evidence, evidence

# Where so many updates in a row go wrong it is no matter of the examples.
IN_A_ROW = 3


@final
class LeftOut:
    """The updates that went wrong, and what follows from them.

    All of it follows from which updates these are, so that a run that is made again decides the
    same.

    Args:
        plan: The plan.
        feed: The training split, cut into updates.
        recorder: Where events go.

    Attributes:
        advice: What is said to whoever is given up on.
    """

    def __init__(self, plan: Plan, feed: Feed, recorder: Recorder) -> None:
        self._settings = plan.guard
        self._epochs = plan.duration.epochs
        self._feed = feed
        self._recorder = recorder
        self._updates: list[int] = []
        self._lowered: list[int] = []
        # Rows that are to blame, and the epoch from which training goes on without them.
        self._without: dict[int, int] = {}
        self.advice = ADVICE

    def __contains__(self, update: int) -> bool:
        """Whether an update is left out."""
        return update in self._updates

    def state(self) -> dict[str, Any]:
        """Return what it knows, as plain values."""
        return {
            "updates": list(self._updates),
            "lowered": list(self._lowered),
            "without": sorted(self._without.items()),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Know what `state` returned."""
        self._updates = list(state["updates"])
        self._lowered = list(state["lowered"])
        self._without = dict(state["without"])
        self.use(self._feed)

    def use(self, feed: Feed) -> None:
        """Go on with a feed of the same updates."""
        self._feed = feed
        feed.leave_out(self._without)

    def first_in(self, start: int, end: int) -> int:
        """Return the first of the updates from `start` up to `end` that is left out, or `end`."""
        return min((update for update in self._updates if start <= update < end), default=end)

    def between(self, start: int, end: int) -> int:
        """Return how many of the updates from `start` up to `end` are left out."""
        return sum(start <= update < end for update in self._updates)

    def lower(self, update: int, rates: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the learning rates of the updates from `update` on, lowered where they are."""
        if not self._lowered:
            return rates
        places = np.arange(update, update + len(rates))
        times: NDArray[np.int64] = np.sum([places >= start for start in self._lowered], axis=0)
        factors = np.power(self._settings.rate_factor, times)
        return (rates * factors).astype(np.float32)

    def add(self, update: int, trouble: TroubleError) -> str:
        """Leave an update out, and decide what else is done.

        Args:
            update: The update, from 0.
            trouble: What went wrong with it.

        Returns:
            What the record is to say of it, beside events; "" for nothing.

        Raises:
            TrainingError: Too much went wrong lately.
        """
        rows = words.rows_of(self._feed.examples_of(update).tolist(), self._feed)
        seen = f"{trouble.seen}, at update {update + 1}, from {rows}"
        found = evidence(self._feed, self._updates, update)
        lately = [one for one in self._updates if update - one < self._settings.window]
        given_up = self._given_up(found, lately, seen)
        if given_up is not None:
            self._tell(update, "divergence", seen, self._look_and(update))
            raise given_up
        done = "the update is left out"
        if found.shared:
            before = found.with_row(found.shared)
            done += words.same_trouble(before, found.shared, self._feed)
        elif self._is_repeated(found, lately):
            self._lowered.append(update + 1)
            done += f", and rates are times {self._settings.rate_factor:g} after it"
        self._updates.append(update)
        note = self._blame(found)
        advice = self._look_and(update)
        if found.shared:
            advice = f"{note} Mend the data, or take that out of them." if note else "Look at them."
        self._tell(update, trouble.kind, f"{seen}; {done}", advice)
        return note

    def _tell(self, update: int, kind: str, seen: str, advice: str) -> None:
        self._recorder.signal(
            Signal(
                epoch=(update + 1) / self._feed.updates_per_epoch,
                step=update + 1,
                kind=kind,
                seen=seen,
                advice=advice,
                examples=self._feed.examples_of(update).tolist(),
            )
        )

    def _advice_at(self, update: int) -> str:
        """Return what may help, other than a look at the examples."""
        # Where none before went well, the model is as it began.
        return words.AT_FIRST if self.between(0, update) == update else self.advice

    def _look_and(self, update: int) -> str:
        """Return what may help where the examples may be to blame, and where they are not."""
        others = self._advice_at(update)
        if_right = others if others == words.AT_FIRST else f"If they are right: {others}"
        return f"{words.LOOK} {if_right}"

    def _blame(self, found: Evidence) -> str:
        """Go on without the rows that are to blame, from the next epoch on; returns a note."""
        rows = [row for row in found.certain if row not in self._without]
        if not rows:
            return ""
        epoch = found.update // self._feed.updates_per_epoch + 1
        self._without |= dict.fromkeys(rows, epoch)
        self._feed.leave_out(self._without)
        updates = len(found.with_row(rows)) + 1
        return words.rows_left_out(rows, updates, epoch, self._feed, epoch == self._epochs)

    def _is_repeated(self, found: Evidence, lately: list[int]) -> bool:
        """Whether so much went wrong since the rate was lowered last that it is lowered again."""
        since = [one for one in lately if not self._lowered or one >= self._lowered[-1]]
        after = self._settings.lower_after
        return after > 0 and found.num_causes([*since, found.update]) >= after

    def _given_up(self, found: Evidence, lately: list[int], seen: str) -> TrainingError | None:
        """Return what the run ends with where too much went wrong lately."""
        retries, update = self._settings.retries, found.update
        in_a_row = next(i for i in range(update + 2) if update - 1 - i not in self._updates) + 1
        # A few examples may spoil batches that follow each other, but not all of two epochs.
        most = 2 * self._feed.updates_per_epoch if found.shared else 0
        if in_a_row >= max(IN_A_ROW, most):
            return words.all_in_a_row(in_a_row, seen, self._advice_at(update))
        if not found.shared and found.num_causes([*lately, update]) > retries:
            return words.too_often(self._settings, seen, self._look_and(update))
        return None
