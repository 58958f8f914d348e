"""Where memory runs out a training goes on: the same updates, from smaller batches."""

import keras
import pytest
from engine_help import Run, assert_same_weights, data, plan, run, task

from slipstream.engine import open_program
from slipstream.engine.feed import Feed

MOMENTUM = {"optimizer.momentum": 0.9, "schedule.name": "cosine", "duration.restore_best": True}


def out_of_memory():
    """The error with which this backend says it."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
    if keras.backend.backend() == "jax":
        import jax

        return jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")
    import torch

    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


class Small:
    """A program with memory for so many examples: it fails after half of its work is done."""

    def __init__(self, program, most, error, seen):
        self._program, self._most, self._error, self._seen = program, most, error, seen

    def __getattr__(self, name):
        return getattr(self._program, name)

    def train(self, block, rates, count):
        self._program.train(block, rates, count)
        self._count(next(iter(keras.tree.flatten(block))).shape[2])

    def train_ragged(self, batches, rate):
        self._program.train_ragged(batches, rate)
        self._count(max(len(keras.tree.flatten(batch)[0]) for batch in batches))

    def evaluate(self, batches):
        self._count(max(len(keras.tree.flatten(batch)[0]) for batch in batches))
        return self._program.evaluate(batches)

    def _count(self, size):
        self._seen.append(size)
        if size > self._most:
            raise self._error


@pytest.fixture
def small_memory(monkeypatch):
    """Let programs have memory for so many examples at a time."""

    def limit(most, error):
        seen = []
        opened = open_program.open_program

        def opening(*args, **kwargs):
            return Small(opened(*args, **kwargs), most, error, seen)

        monkeypatch.setattr(open_program, "open_program", opening)
        return seen

    return limit


def test_a_batch_that_does_not_fit_is_split_and_the_updates_stay(small_memory):
    plan_ = plan({**MOMENTUM, "batch.size": 24, "schedule.warmup": 0.3})
    whole = run(task(), plan_, data(45))
    seen = small_memory(11, out_of_memory())
    signals = []
    ran = Run(task(), plan_, data(45), observers=[signals.append]).go()
    # An update of 24 examples fits in parts of 6; a validation of 23 when it is halved twice.
    assert [size for size in dict.fromkeys(seen) if size > 11] == [24, 12, 23]
    assert ran.loop.update == whole.loop.update == 6
    assert_same_weights(ran.model.get_weights(), whole.model.get_weights(), 2e-6, 2e-6)
    for mine, other in zip(ran.values, whole.values, strict=True):
        assert mine == pytest.approx(other, rel=1e-5)
    assert ran.built.applied["batch.size"] == "6 examples at a time"
    assert ran.built.applied["batch.accumulation"] == "4 batches of 6 make an update"
    notes = [note for note in ran.built.notes if "Out of memory" in note]
    assert len(notes) == 3 and "at most 11 examples" in notes[2], notes
    kinds = {event.signal.kind for event in signals if hasattr(event, "signal")}
    assert kinds == {"out_of_memory"}


def test_what_does_not_fit_example_by_example_fails(small_memory):
    small_memory(0, MemoryError("all of it"))
    with pytest.raises(MemoryError, match="all of it"):
        run(task(), plan({"batch.size": 4}), data(8))


def test_an_update_is_cut_into_equal_parts():
    plan_ = plan({"batch.size": 33})
    feed = Feed(data(45).train, plan_, Feed(data(45).train, plan_).smaller_part())
    full, rest = list(feed.epoch(0))
    assert full.arrays[0].shape[:3] == (1, 3, 11)
    assert [len(batch[0]) for batch in rest.batches] == [11, 1]
    assert feed.updates_per_epoch == 2
