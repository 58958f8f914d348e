"""Callbacks of a task: what cannot be called, or kept, is refused before a training."""

import numpy as np
import pytest

from slipstream.errors import TaskError
from slipstream.task import Task
from slipstream.tasks import callbacks_of


def callback(**members):
    kind = type("Mine", (), {"__call__": lambda self, event: None, **members})
    return kind()


def with_state(state):
    return callback(state=lambda self: state, restore=lambda self, state: None)


def made_of(*made):
    return callbacks_of(Task(model=dict, data=dict, loss="mse", callbacks=lambda: list(made)))


def test_what_can_be_called_and_kept_comes_as_it_was_made():
    state = {"count": 1, "lowest": np.zeros(3), "names": ["a", None]}
    ones = [callback(), with_state(state), print]
    assert made_of(*ones) == tuple(ones)
    assert callbacks_of(Task(model=dict, data=dict, loss="mse")) == ()


@pytest.mark.parametrize(
    ("made", "came"),
    [
        (3, "got int"),
        (dict, "got the class dict"),
        (callback(on_epoch_end=lambda self, epoch, logs: None), "Mine, which has Keras' hooks"),
        (callback(state=dict), r"Mine with state\(\) alone"),
        (with_state(7), "returns no mapping of texts"),
        (with_state({1: 2}), "returns no mapping of texts"),
        (with_state({"model": object()}), r"holds a object \('model'\)"),
        (with_state({"all": np.array([object()])}), r"holds a ndarray \('all'\)"),
    ],
)
def test_what_cannot_is_refused(made, came):
    with pytest.raises(TaskError, match=came):
        made_of(made)


def test_a_list_is_wanted():
    with pytest.raises(TaskError, match=r"got function.*Return a list"):
        callbacks_of(Task(model=dict, data=dict, loss="mse", callbacks=lambda: made_of))
