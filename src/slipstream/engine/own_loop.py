"""Slipstream's own training loop: blocks of updates, and validations between them."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipstream.backends import Program, TrainingState, overrides, restore_state, state_of
from slipstream.data.order import Position
from slipstream.data.splits import Data, leaves
from slipstream.engine.build import Built
from slipstream.engine.clipping import read_clipping
from slipstream.engine.feed import Block, Feed, Ragged
from slipstream.engine.guard import Guard
from slipstream.engine.judging import Judge
from slipstream.engine.keeping import Keeper
from slipstream.engine.limits import Limits
from slipstream.engine.loss_scale import LossScaleWatch
from slipstream.engine.memory import is_out_of_memory, note_of_split, signal_of_split
from slipstream.engine.open_program import open_for
from slipstream.engine.phases import kept_metrics
from slipstream.engine.recorder import Recorder
from slipstream.engine.snapshot import unresumable
from slipstream.engine.trouble import ADVICE, TroubleError, no_way_back, refuse_divergence
from slipstream.engine.waiting import waited_for
from slipstream.engine.watch import Watch
from slipstream.errors import RecordError
from slipstream.ops.plateau import Plateau
from slipstream.plan import Plan


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
        self._guard = Guard(plan, feed, recorder)
        self._scaling = self._scaling_of(begun_at=0)
        # Where the training goes on from when something goes wrong; None where it cannot.
        self._kept: TrainingState | None = None
        self._watch = Watch(built, program, data, plan, recorder)
        self._judge = Judge(built, data, plan, recorder, self._watch)
        self.keeper: Keeper | None = None
        self.total_updates = len(rates)
        self.update = 0
        self.examples = 0

    def run(self, limits: Limits) -> str:
        """Train from where it stands until the plan, an observer or a limit ends it.

        Where memory runs out, or an update goes wrong, it goes on from the last state that was
        kept: with the same updates, made of smaller batches or without the one.

        Args:
            limits: What may end it early.

        Returns:
            The outcome.
        """
        try:
            self._keep()
            outcome = self._train_whatever_happens(limits)
            self.synchronize()
            if self.keeper is not None:
                self.keeper.last(self.update)
            self._built.notes.extend(filter(None, [self._scaling.note(self.update)]))
            return outcome
        finally:
            self._feed.close()
            self._watch.close(self.update)

    def _train_whatever_happens(self, limits: Limits) -> str:
        while True:
            found: TroubleError | None = None
            try:
                return self._train(limits)
            except TroubleError as trouble:
                found = trouble
            except Exception as error:
                found = self._guard.trouble_of(error, self.update)
                if found is None and not (is_out_of_memory(error) and self._kept and self._splits):
                    raise
            # Not within the handler: an error keeps alive what failed.
            if found is None:
                self._split()
            else:
                self._undo(found)

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
                for part in self._parts(block):
                    self._step(part)
                    self._look_if_due(points)
                done += block.count
                self._recorder.progressed(self, epoch + done / self._feed.updates_per_epoch)
                if done in points:
                    self._look()
                    self._evaluate(epoch + done / self._feed.updates_per_epoch)
                if self._recorder.stop and done not in points:
                    self._look()
                ended = self._recorder.stop or self._ended_by(limits, done in points)
                if ended:
                    return ended
        return "completed"

    def _ended_by(self, limits: Limits, evaluated: bool) -> str:
        """Offer the run to be kept, and return what it ends with here; "" where it goes on."""
        look = None if evaluated else self._look
        if self.keeper is not None:
            self.keeper.offer(self.update, evaluated, look)
        ended = limits.interrupted()
        if not ended and not limits.are_met(self.update, self._recorder.clock.seconds):
            return ""
        if look is not None:
            look()
        if ended:
            return "interrupted"
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
        position, seed = state.position, self._plan.seeds.seed
        updates = self._feed.updates_per_epoch
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
            "at_most": self._judge.validation.at_most,
            "counted": list(self._scaling.counted),
            "watch": self._watch.state(),
            "guard": self._guard.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Know what `state` returned; the training's state is taken back already."""
        self.examples = state["examples"]
        if state["at_most"] != self._judge.validation.at_most:
            self._judge.validation.cut(state["at_most"])
        self._guard.restore(state["guard"], self.update)
        self._scaling.count_from(*state["counted"])
        self._watch.restore(state["watch"])
        self._kept = None

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

    def _parts(self, block: Block | Ragged) -> Iterator[Block | Ragged]:
        """Yield of a block what is made, in parts; what is left out is passed by."""
        for count, is_made in self._guard.runs(self.update, block.count):
            part = block
            if isinstance(block, Block) and count < block.count:
                part, block = block.split(count)
            if is_made:
                yield from self._phased(part)
            else:
                self.update += count

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
        self._guard.collect(self._program)
        self._program.place(None)
        with kept_metrics(model):
            self._program = open_for(self._built, self._plan, self._feed)
        self._watch.use(self._program)
        begun_at = phases.num_frozen(self._feed) if phases.is_second else 0
        self._scaling = self._scaling_of(begun_at)
        self._scaling.resume(update)
        self._recorder.clock.compile_anew()
        return True

    def _rates_from(self, count: int, update: int | None = None) -> NDArray[np.float32]:
        """Return the learning rates of the next updates, or of those after another update."""
        start = self.update if update is None else update
        rates = self._guard.left_out.lower(start, self._rates[start : start + count])
        return rates if self._plateau is None else rates * np.float32(self._plateau.factor)

    def _evaluate(self, epoch: float) -> None:
        clock = self._recorder.clock
        start = time.perf_counter()
        self._program.synchronize()
        training = self._program.read_metrics()
        training |= read_clipping(self._built.model.optimizer)
        training |= self._scaling.read(self.update, training)
        before = self._recorder.points[-1].step if self._recorder.points else 0
        if self._guard.left_out.between(before, self.update) == self.update - before:
            # Metrics of nothing are 0 in Keras.
            training = {}
        clock.add("train", time.perf_counter() - start)
        rate = self._rates_from(1, self.update - 1)[0]
        point = self._judge.judge(self._program, self.update, epoch, training, float(rate))
        self._program.resume()
        if self._plateau is not None and self._plateau.observe(self._recorder.watched(point)):
            self._built.notes.append(self._plateau.note(self.update))
        self._scaling.refuse_endless_overflow(self.update)
        refuse_divergence(point, self._plan, self._recorder, self._advice)
        self._keep()

    @property
    def _advice(self) -> str:
        """What may help where the loss is not finite."""
        return self._scaling.advice or ADVICE

    def _keep(self) -> None:
        """Keep the state, to go on from where something goes wrong; it is known to be well."""
        model = self._built.model
        if not (self._guard.is_on or self._splits) or unresumable(model):
            return
        start = time.perf_counter()
        try:
            self._kept = self.hand_out()
        except MemoryError:
            self._kept = None
        self._guard.kept(self.update, model, time.perf_counter() - start)

    def _look_if_due(self, points: Collection[int]) -> None:
        """Have the guard look between evaluations, and keep what it has looked at."""
        if not self._guard.is_due():
            return
        self._look()
        # Whoever goes on from an evaluation's update has made that evaluation.
        per_epoch = self._feed.updates_per_epoch
        if (self.update - 1) % per_epoch + 1 not in points and self._guard.wants_copy():
            self._keep()

    def _look(self) -> None:
        self._guard.look(self._program, self._built.model, self.update)

    def _undo(self, trouble: TroubleError) -> None:
        """Stand at the last state that was kept; the guard decides what is made from there."""
        self._guard.left_out.advice = self._advice
        if self._kept is None:
            raise no_way_back(trouble, self._advice)
        self._built.notes.extend(filter(None, [self._guard.meet(trouble)]))
        counted = self._scaling.counted
        self.take_back(self._kept)
        self._scaling.count_from(*counted)
        self._guard.back(self._program)

    @property
    def _splits(self) -> bool:
        """Whether updates can be made of smaller batches."""
        is_plain = not overrides(self._built.model, "train_step")
        return is_plain and self._feed.smaller_part() is not None

    def _scaling_of(self, begun_at: int) -> LossScaleWatch:
        optimizer, left_out = self._built.model.optimizer, self._guard.left_out.between
        return LossScaleWatch(self._plan, optimizer, begun_at, left_out)

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
        self._guard.use(self._feed)
        self._stand_at(self._update_at(kept.position))
        restore_state(self._built.model, kept)
        self._program = open_for(self._built, self._plan, self._feed)
        self._watch.use(self._program)
        self._recorder.clock.compile_anew()
        self.take_back(kept)
        self._guard.back(self._program)
        parts = self._feed.num_micro_batches
        self._built.applied["batch.size"] = f"{at_a_time} examples at a time"
        self._built.notes.append(note_of_split(before, at_a_time, parts, update, self.update))
        told = signal_of_split(before, at_a_time, parts, self.update, self.epochs)
        self._recorder.signal(told)
