"""The events file of a run, read back record by record."""

import struct
import time

import numpy as np
import pytest
from engine_help import data, plan, task
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from slipstream.engine import Evaluated, train
from slipstream.observers import TensorBoardWriter
from slipstream.record import Point


def read_events(folder):
    """Return all events of the one file in a folder; its frames are length, check, data, check."""
    (file,) = folder.glob("events.out.tfevents.*")
    left, events = file.read_bytes(), []
    while len(left) >= 16:
        (length,) = struct.unpack("<Q", left[:8])
        events.append(Event.FromString(left[12 : 12 + length]))
        left = left[16 + length :]
    return events


def values_of(events):
    """Return {tag: [(step, value)]} of all scalars."""
    scalars = {}
    for event in events:
        for value in event.summary.value:
            if value.HasField("simple_value"):
                scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
    return scalars


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    record = train(
        task(), plan(), data=data(45), folder=folder, observers=[TensorBoardWriter(folder)]
    )
    return folder, record


def test_curves_over_updates(written):
    folder, record = written
    curves = values_of(read_events(folder))
    for name, tag in {
        "loss": "training/loss",
        "accuracy": "training/accuracy",
        "val_loss": "validation/loss",
        "val_accuracy": "validation/accuracy",
    }.items():
        expected = [(point.step, np.float32(point.values[name])) for point in record.points]
        assert curves[tag] == expected
    assert curves["learning_rate"] == [(step, np.float32(0.1)) for step in (6, 12, 18)]
    assert [step for step, _ in curves["examples_per_second"]] == [6, 12, 18]
    assert all(value > 0 for _, value in curves["examples_per_second"])


def test_the_plan_and_what_it_came_to(written):
    folder, record = written
    events = read_events(folder)
    plugins = {
        value.tag: HParamsPluginData.FromString(value.metadata.plugin_data.content)
        for event in events
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "hparams"
    }
    settings = plugins["_hparams_/session_start_info"].session_start_info.hparams
    assert settings["optimizer.name"].string_value == "sgd"
    assert settings["batch.size"].number_value == 8
    assert settings["optimizer.nesterov"].bool_value is False
    assert set(settings) == set(plan().flat())
    curves = values_of(events)
    assert curves["final/val_loss"] == [(18, np.float32(record.final_values["val_loss"]))]
    assert curves["best/val_loss"] == [(18, np.float32(record.best_value))]


def test_curves_can_be_read_before_the_end(tmp_path):
    writer = TensorBoardWriter(tmp_path)
    point = Point(step=7, epoch=1.0, seconds=1.0, values={"val_loss": 0.5})
    assert writer(Evaluated(point, True, 0.25)) is None
    expected = {
        "validation/loss": [(7, 0.5)],
        "learning_rate": [(7, 0.25)],
        "examples_per_second": [(7, 0.0)],
    }
    for _ in range(200):
        if (curves := values_of(read_events(tmp_path))) == expected:
            break
        time.sleep(0.1)
    assert curves == expected


def test_a_run_that_failed_closes_its_file(tmp_path):
    def fail(event):
        if isinstance(event, Evaluated):
            raise RuntimeError("no")

    record = train(
        task(), plan(), data=data(), folder=tmp_path, observers=[TensorBoardWriter(tmp_path), fail]
    )
    assert record.outcome == "failed"
    assert values_of(read_events(tmp_path))["validation/loss"]
