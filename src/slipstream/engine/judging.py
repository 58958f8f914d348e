"""One evaluation of a run: the validation split, and all that follows from what it shows."""

from __future__ import annotations

import time
from typing import final

from slipstream.backends import Program
from slipstream.data.splits import Data, Split, leaves
from slipstream.engine.build import Built
from slipstream.engine.evaluation import named, norm_renewal, weights_for_evaluation
from slipstream.engine.feed import evaluation_batch_size, evaluation_batches
from slipstream.engine.memory import is_out_of_memory
from slipstream.engine.recorder import Recorder
from slipstream.engine.steering import Steering
from slipstream.engine.watch import Watch
from slipstream.plan import Plan
from slipstream.record import Point


@final
class Validation:
    """The validation split, in batches that memory is enough for.

    Args:
        split: The split.
        batch_size: Examples that are trained on at a time.
    """

    def __init__(self, split: Split, batch_size: int) -> None:
        self._split = split
        self.cut(evaluation_batch_size(batch_size))

    def cut(self, at_most: int) -> None:
        """Take at most so many examples at a time from now on."""
        self.at_most = at_most
        self._batches = evaluation_batches(self._split, at_most)

    def evaluate(self, program: Program, update: int, notes: list[str]) -> dict[str, float]:
        """Return the loss and all metrics over the split.

        Args:
            program: The program.
            update: Updates made so far.
            notes: Where it is noted if memory runs out, and fewer are taken at a time.
        """
        while True:
            try:
                return program.evaluate(self._batches)
            except Exception as error:
                if not is_out_of_memory(error) or self.at_most == 1:
                    raise
            largest = max(len(next(leaves(batch))) for batch in self._batches)
            self.cut(largest // 2 or 1)
            notes.append(
                f"Out of memory in the evaluation after update {update}: from there on at "
                f"most {self.at_most} examples are evaluated at a time."
            )


@final
class Judge:
    """Evaluates a model between updates, as the task judges it.

    Args:
        built: The compiled model.
        data: The data set; its validation split is evaluated.
        plan: The plan.
        recorder: Where evaluations go.
        watch: What looks at the model while it is judged.
    """

    def __init__(
        self, built: Built, data: Data, plan: Plan, recorder: Recorder, watch: Watch
    ) -> None:
        self._built = built
        self._recorder = recorder
        self._watch = watch
        self.validation = Validation(data.validation, plan.batch.size)
        self._renew = norm_renewal(plan, data.train)
        scaled = built.penalty.factor
        self._steering = Steering(scaled, plan, data) if scaled is not None else None

    def judge(
        self, program: Program, update: int, epoch: float, training: dict[str, float], rate: float
    ) -> Point:
        """Evaluate, record, and let penalties follow; the program is to `resume` then.

        Args:
            program: The program, synchronized.
            update: Updates made so far.
            epoch: The same in epochs.
            training: What was measured of the training since the last time.
            rate: The learning rate of the last update.
        """
        start = time.perf_counter()
        built, clock, steering = self._built, self._recorder.clock, self._steering
        with built.judged_by_the_task(), weights_for_evaluation(built.model, self._renew):
            judged = self.validation.evaluate(program, update, built.notes)
            values = {**training, **named(judged, "val_")}
            if steering is not None:
                values |= steering.measure(program, self.validation.at_most, values["val_loss"])
            clock.add_call("evaluate", "evaluate", time.perf_counter() - start)
            point = Point(step=update, epoch=epoch, seconds=clock.seconds, values=values)
            self._recorder.evaluated(point, built.model, rate)
            self._watch.judged(update, epoch)
        self._watch.evaluated(update, epoch)
        if steering is not None:
            steering.follow(values)
        return point
