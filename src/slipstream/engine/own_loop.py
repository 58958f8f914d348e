"""Slipstream's own training loop: blocks of updates, and validations between them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipstream.backends import Program, TrainingState, overrides, restore_state, state_of
from slipstream.data.order import Position
from slipstream.data.splits import Data, leaves
from slipstream.engine.build import Built
from slipstream.engine.clipping import read_clipping
from slipstream.engine.evaluation import named, norm_renewal, weights_for_evaluation
from slipstream.engine.events import Progress
from slipstream.engine.feed import Block, Feed, Ragged, evaluation_batch_size, evaluation_batches
from slipstream.engine.keeping import Keeper
from slipstream.engine.limits import Limits
from slipstream.engine.loss_scale import LossScaleWatch
from slipstream.engine.memory import is_out_of_memory, note_of_split, signal_of_split
from slipstream.engine.open_program import open_for
from slipstream.engine.phases import kept_metrics
from slipstream.engine.recorder import Recorder
from slipstream.engine.steering import Steering
from slipstream.engine.waiting import waited_for
from slipstream.engine.watch import Watch
from slipstream.errors import RecordError, TrainingError
from slipstream.ops.plateau import Plateau
from slipstream.plan import Plan
from slipstream.record import Point, Signal

ADVICE = "Lower schedule.peak, add schedule.warmup, or set clipping.global_norm = 1.0."


class OwnLoop:
    """Trains a built model on one backend's program.

    Args:
        built: The compiled model.
        program: The backend's program for it.
        feed: The training split, cut into updates.
        rates: The learning rate of each update of the run, shape (total updates,).
        data: The data set; its validation split is evaluated.
        plan: The plan.
        recorder: Where events go.
    """

    def __init__(
        self,
        built: Built,
        program: Program,
        feed: Feed,
        rates: NDArray[np.float64],
        data: Data,
        plan: Plan,
        recorder: Recorder,
    ) -> None:
        self._built = built
        self._program = program
        self._feed = feed
        self._data = data
        self._rates = rates.astype(np.float32)
        watches = plan.schedule.plateau_patience > 0
        self._plateau = Plateau(plan.schedule, recorder.mode) if watches else None
        self._plan = plan
        self._recorder = recorder
        self._scaling = LossScaleWatch(plan, built.model.optimizer)
        self._at_most = evaluation_batch_size(plan.batch.size)
        self._validation = evaluation_batches(data.validation, self._at_most)
        # Where the training goes on from when memory runs out; None where it cannot.
        self._kept: TrainingState | None = None
        self._renew = norm_renewal(plan, data.train)
        scaled = built.penalty.factor
        self._steering = Steering(scaled, plan, data) if scaled is not None else None
        self._watch = Watch(built, program, data, plan, recorder)
        self.keeper: Keeper | None = None
        self.update = 0
        self.examples = 0

    def run(self, limits: Limits) -> str:
        """Train from where it stands until the plan, an observer or a limit ends it.

        Where memory runs out, it goes on from its last evaluation: with the same updates, made of
        smaller batches.

        Args:
            limits: What may end it early.

        Returns:
            The outcome.
        """
        try:
            self._keep()
            outcome = self._train_with_what_fits(limits)
            self.synchronize()
            if self.keeper is not None:
                self.keeper.last(self.update)
            self._built.notes.extend(filter(None, [self._scaling.note(self.update)]))
            return outcome
        finally:
            self._feed.close()
            self._watch.close(self.update)

    def _train_with_what_fits(self, limits: Limits) -> str:
        while True:
            try:
                return self._train(limits)
            except Exception as error:
                if not is_out_of_memory(error) or not self._can_split():
                    raise
            # Not within the handler: an error keeps alive what failed.
            self._split()

    def _train(self, limits: Limits) -> str:
        if self._recorder.decided:
            # It goes on from the end of a run that its plan had ended.
            return self._recorder.decided
        points = self._feed.evaluation_points()
        start, ahead = self.position, self._feed.is_read_ahead
        for epoch in range(start.epoch, self._plan.duration.epochs):
            done = start.update if epoch == start.epoch else 0
            blocks = self._feed.epoch(epoch, done)
            for block in waited_for(blocks, lambda: self._program, self._recorder.clock, ahead):
                for part in self._phased(block):
                    self._step(part)
                done += block.count
                self._tell(epoch + done / self._feed.updates_per_epoch)
                if done in points:
                    self._evaluate(epoch + done / self._feed.updates_per_epoch)
                ended = self._recorder.stop or self._ended_by(limits, done in points)
                if ended:
                    return ended
        return "completed"

    def _ended_by(self, limits: Limits, evaluated: bool) -> str:
        """Offer the run to be kept, and return what it ends with here; "" where it goes on."""
        if self.keeper is not None:
            self.keeper.offer(self.update, evaluated)
        if limits.interrupted():
            return "interrupted"
        if not limits.are_met(self.update, self._recorder.clock.seconds):
            return ""
        if limits.seconds is not None and not self._recorder.points:
            # Whoever waited so long is told at least what came of it.
            self._evaluate(self.epochs)
        return "limit_reached"

    @property
    def epochs(self) -> float:
        """How many epochs the updates made so far are."""
        return self.update / self._feed.updates_per_epoch

    @property
    def position(self) -> Position:
        """Where in the data the training stands."""
        epoch, update = divmod(self.update, self._feed.updates_per_epoch)
        return Position(epoch, update, self._plan.seeds.seed)

    def synchronize(self) -> None:
        """Wait until all is done, and hand the state to Keras' variables."""
        self._program.synchronize()

    def _update_at(self, position: Position) -> int:
        return position.epoch * self._feed.updates_per_epoch + position.update

    def hand_out(self) -> TrainingState:
        """Return the complete state of the training; not while it runs."""
        self._program.synchronize()
        state = state_of(self._built.model, self.position)
        return replace(state, plateau=self._plateau.to_arrays() if self._plateau else {})

    def take_back(self, state: TrainingState) -> None:
        """Stand where a training of the same task and plan stood when it handed its state out.

        Raises:
            RecordError: It is the state of another training. Nothing was changed.
        """
        position = state.position
        updates = self._feed.updates_per_epoch
        seed = self._plan.seeds.seed
        if position.seed != seed or position.update >= updates:
            raise RecordError(
                f"a state with the data in the order of seed {seed}, {updates} updates an epoch",
                f"one in the order of seed {position.seed}, after update {position.update} of "
                f"epoch {position.epoch}",
                "Go on with the data and the plan that the state was handed out with.",
                code="SLP-620",
            )
        self._program.synchronize()
        self._stand_at(self._update_at(position))
        try:
            restore_state(self._built.model, state)
        except RecordError:
            self._stand_at(self.update)
            raise
        self._program.resume()
        if self._plateau is not None:
            self._plateau.restore(state.plateau)
        self.update = self._update_at(position)
        self._scaling.resume(self.update)

    def state(self) -> dict[str, Any]:
        """Return what it knows beside the training's state, as plain values."""
        return {
            "examples": self.examples,
            "at_a_time": self._feed.at_a_time,
            "at_most": self._at_most,
            "counted": list(self._scaling.counted),
            "watch": self._watch.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Know what `state` returned; the training's state is taken back already."""
        self.examples = state["examples"]
        if state["at_most"] != self._at_most:
            self._evaluate_at_most(state["at_most"])
        self._scaling.count_from(*state["counted"])
        self._watch.restore(state["watch"])
        self._kept = None

    def _evaluate_at_most(self, num_examples: int) -> None:
        self._at_most = num_examples
        self._validation = evaluation_batches(self._data.validation, num_examples)

    def _step(self, block: Block | Ragged) -> None:
        self._watch.before_updates(self.update)
        start = time.perf_counter()
        if isinstance(block, Ragged):
            self._program.train_ragged(block.batches, float(self._rates_from(1)[0]))
            kind = "ragged"
        else:
            size = len(next(leaves(block.arrays)))
            rates = self._rates_from(block.count)
            padded = np.pad(rates, (0, size - len(rates)), mode="edge")
            self._program.train(block.arrays, padded, block.count)
            kind = "block"
        self._recorder.clock.add_call("train", kind, time.perf_counter() - start)
        self.update += block.count
        self.examples += block.num_examples
        self._watch.after_updates(self.update)

    def _phased(self, block: Block | Ragged) -> Iterator[Block | Ragged]:
        """Yield a block in parts of one phase each, and go over to the phase of each part."""
        phases = self._built.phases
        if phases is None:
            yield block
            return
        before = phases.num_frozen(self._feed) - self.update
        if isinstance(block, Block) and 0 < before < block.count:
            first, block = block.split(before)
            yield first
        if self._stand_at(self.update):
            self._built.notes.append(
                f"After update {self.update} the base learns too, and the optimizer begins anew."
            )
        yield block

    def _stand_at(self, update: int) -> bool:
        """Stand in the phase of the update after so many; returns whether another one begins."""
        phases, model = self._built.phases, self._built.model
        if phases is None or not phases.is_other_at(update, self._feed):
            return False
        self._program.synchronize()
        self._built.notes.extend(filter(None, [self._scaling.note(self.update)]))
        phases.change(self._feed, self._data.train)
        self._program.place(None)
        with kept_metrics(model):
            self._program = open_for(self._built, self._plan, self._feed)
        self._watch.use(self._program)
        begun_at = phases.num_frozen(self._feed) if phases.is_second else 0
        self._scaling = LossScaleWatch(self._plan, model.optimizer, begun_at)
        self._scaling.resume(update)
        self._recorder.clock.compile_anew()
        return True

    def _rates_from(self, count: int) -> NDArray[np.float32]:
        """Return the learning rates of the next updates."""
        rates = self._rates[self.update : self.update + count]
        return rates if self._plateau is None else rates * np.float32(self._plateau.factor)

    def _evaluate(self, epoch: float) -> None:
        clock = self._recorder.clock
        start = time.perf_counter()
        self._program.synchronize()
        training = self._program.read_metrics()
        training |= read_clipping(self._built.model.optimizer)
        training |= self._scaling.read(self.update, training)
        clock.add("train", time.perf_counter() - start)
        start = time.perf_counter()
        model = self._built.model
        with self._built.judged_by_the_task(), weights_for_evaluation(model, self._renew):
            values = {**training, **named(self._evaluated(), "val_")}
            if self._steering is not None:
                gap = self._steering.measure(self._program, self._at_most, values["val_loss"])
                values |= gap
            clock.add_call("evaluate", "evaluate", time.perf_counter() - start)
            point = Point(step=self.update, epoch=epoch, seconds=clock.seconds, values=values)
            factor = self._plateau.factor if self._plateau else 1.0
            self._recorder.evaluated(point, model, factor * float(self._rates[self.update - 1]))
            self._watch.judged(self.update, epoch)
        self._watch.evaluated(self.update, epoch)
        if self._steering is not None:
            self._steering.follow(values)
        self._program.resume()
        self._watch_for_a_plateau(point)
        self._refuse_divergence(values, epoch)
        self._keep()

    def _evaluated(self) -> dict[str, float]:
        while True:
            try:
                return self._program.evaluate(self._validation)
            except Exception as error:
                if not is_out_of_memory(error) or self._at_most == 1:
                    raise
            largest = max(len(next(leaves(batch))) for batch in self._validation)
            self._evaluate_at_most(largest // 2 or 1)
            self._built.notes.append(
                f"Out of memory in the evaluation after update {self.update}: from there on at "
                f"most {self._at_most} examples are evaluated at a time."
            )

    def _keep(self) -> None:
        """Keep the state, to go on from where memory runs out."""
        if self._feed.at_a_time == 1 or overrides(self._built.model, "train_step"):
            return
        try:
            self._kept = self.hand_out()
        except MemoryError:
            self._kept = None

    def _can_split(self) -> bool:
        return self._kept is not None and self._feed.smaller_part() is not None

    def _split(self) -> None:
        """Stand at the last evaluation, with smaller batches."""
        update, before, kept = self.update, self._feed.at_a_time, self._kept
        at_a_time = self._feed.smaller_part()
        assert kept is not None and at_a_time is not None
        self._program.place(None)
        # It is not to hand on what it holds: that may be half an update.
        self._program.resume()
        self._feed.close()
        self._feed = Feed(self._data.train, self._plan, at_a_time)
        self._stand_at(self._update_at(kept.position))
        restore_state(self._built.model, kept)
        self._program = open_for(self._built, self._plan, self._feed)
        self._watch.use(self._program)
        self._recorder.clock.compile_anew()
        self.take_back(kept)
        parts = self._feed.num_micro_batches
        self._built.applied["batch.size"] = f"{at_a_time} examples at a time"
        self._built.notes.append(note_of_split(before, at_a_time, parts, update, self.update))
        told = signal_of_split(before, at_a_time, parts, self.update, self.epochs)
        self._recorder.signal(told)

    def _watch_for_a_plateau(self, point: Point) -> None:
        if self._plateau is not None and self._plateau.observe(self._recorder.watched(point)):
            self._built.notes.append(self._plateau.note(self.update))

    def _refuse_divergence(self, values: dict[str, float], epoch: float) -> None:
        self._scaling.refuse_endless_overflow(self.update)
        if math.isfinite(values.get("loss", 0.0)):
            return
        # Under float16 the loss scale skips a step that overflows, yet its loss is logged: the
        # weights have suffered only if they fail on the validation split as well.
        scaled = self._plan.precision.policy == "mixed_float16"
        if scaled and math.isfinite(values.get("val_loss", 0.0)):
            return
        advice = self._scaling.advice or ADVICE
        seen = f"a training loss of {values['loss']}"
        self._recorder.signal(
            Signal(epoch=epoch, step=self.update, kind="divergence", seen=seen, advice=advice)
        )
        raise TrainingError(
            "a finite training loss",
            f"{values['loss']} by update {self.update} (epoch {epoch:.2f})",
            advice,
            code="SLP-501",
        )

    def _tell(self, epoch: float) -> None:
        seconds = self._recorder.clock.seconds
        self._recorder.tell(
            Progress(
                update=self.update,
                total_updates=len(self._rates),
                epoch=epoch,
                seconds=seconds,
                examples_per_second=self.examples / max(seconds, 1e-9),
            )
        )
