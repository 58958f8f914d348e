"""Callbacks of a task: what cannot be called, or kept, is refused before a training."""

from types import SimpleNamespace

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


def fails(*_):
    raise MemoryError("a list")


def made_by(make):
    return callbacks_of(Task(model=dict, data=dict, loss="mse", callbacks=make))


def made_of(*made):
    return made_by(lambda: list(made))


def test_what_can_be_called_and_kept_comes_ready():
    state = {"count": 1, "lowest": np.zeros(3), "names": ["a", None]}
    ready = made_of(callback(), with_state(state))
    assert [one.kind for one in ready] == ["Mine", "Mine"]
    assert not hasattr(ready[0], "state") and ready[1].state() == state
    assert callbacks_of(Task(model=dict, data=dict, loss="mse")) == ()


@pytest.mark.parametrize(
    ("made", "came"),
    [
        (3, "got int"),
        (dict, "got the class dict"),
        (callback(on_epoch_end=lambda self, epoch, logs: None), "Mine, which has Keras' hooks"),
        (callback(state=dict), r"Mine with state\(\) alone"),
        (with_state(7), "returns no mapping of texts"),
        (with_state({1: 2}), "returns values with a key of type int"),
        (with_state({"n": {0: 1}}), r"values\['n'\] with a key of type int"),
        (with_state({"model": object()}), r"returns values\['model'\] of type object"),
        (with_state({"all": np.array([object()])}), "'all', which is of dtype object"),
        (callback(state=fails, restore=fails), r"Mine.state\(\) raised MemoryError in test_tasks"),
    ],
)
def test_what_cannot_is_refused(made, came):
    with pytest.raises(TaskError, match=came):
        made_of(made)


def test_a_function_that_returns_a_list_is_wanted():
    with pytest.raises(TaskError, match=r"got function.*Return a list"):
        made_by(lambda: made_of)
    with pytest.raises(TaskError, match=r"got MemoryError in test_tasks_callbacks.py, line \d+"):
        made_by(fails)
    with pytest.raises(TaskError, match=r"got TypeError: .*missing 1 required"):
        made_by(lambda one: [one])


def test_only_true_asks_to_stop():
    answers = [True, np.True_, None, "no", np.zeros(2)]
    asked = [made_of(lambda _, answer=answer: answer)[0](None) for answer in answers]
    assert asked == [True, True, False, False, False]


def test_what_is_done_to_an_event_changes_nothing():
    event = SimpleNamespace(values={"loss": 1.0})
    made_of(lambda told: told.values.clear())[0](event)
    assert event.values == {"loss": 1.0}


def test_an_error_is_the_callbacks_own():
    (ready,) = made_of(fails)
    with pytest.raises(Exception, match="the callback function raised MemoryError in") as caught:
        ready(None)
    assert caught.type.__name__ == "CallbackError"
