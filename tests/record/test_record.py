"""A run folder reads back as what was written, and anything else is refused with one sentence."""

import json
import math
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from slipstream.errors import RecordError
from slipstream.record import (
    METRICS_FILE,
    RECORD_FILE,
    Environment,
    Failure,
    Point,
    Record,
    Timings,
    point_to_line,
    read_record,
    read_records,
    write_json,
    write_record,
)


def a_record(**changes):
    values = {
        "task": "digits",
        "reference": "digits",
        "fingerprint": "f00d",
        "data_hash": "da7a",
        "plan": {"schedule": {"peak": 0.003}, "seeds": {"seed": 1}},
        "plan_digest": "0123456789ab",
        "backend": "jax",
        "seed": 1,
        "monitor": "val_accuracy",
        "mode": "max",
        "target": 0.97,
        "started_at": "2026-01-01T00:00:00+00:00",
        "environment": Environment(machine={"cores": 2}, versions={"keras": "3.15.1"}),
        "timings": Timings(clock_seconds=4.0),
        "outcome": "completed",
        "updates": 10,
        "epochs": 1.0,
        "examples_per_second": 100.0,
        "peak_memory_bytes": 1,
        "parameters": 1,
        "best_value": 0.5,
        "best_epoch": 1.0,
        "final_values": {"val_accuracy": 0.5},
    }
    return Record.model_validate({**values, **changes})


def points_of(values, mode="max", monitor="val_accuracy"):
    points = [
        Point(step=i, epoch=float(i), seconds=float(i + 1), values={monitor: value})
        for i, value in enumerate(values)
    ]
    return a_record(points=points, mode=mode, monitor=monitor)


def write_run(folder, record):
    write_record(record, folder)
    (folder / METRICS_FILE).write_text("".join(map(point_to_line, record.points)))


floats = st.floats(allow_nan=False)


@settings(max_examples=50, deadline=None)
@given(
    best=st.none() | floats,
    final=st.dictionaries(st.text(max_size=5), floats, max_size=3),
    clock=floats,
    values=st.lists(st.dictionaries(st.text(max_size=5), floats, max_size=3), max_size=3),
)
def test_a_folder_reads_back_as_what_was_written(tmp_path_factory, best, final, clock, values):
    points = [Point(step=1, epoch=0.5, seconds=math.inf, values=value) for value in values]
    record = a_record(
        best_value=best,
        final_values=final,
        timings=Timings(clock_seconds=clock),
        points=points,
        failure=Failure(kind="MemoryError", message='"quoted"\n\u2028'),
    )
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, record)
    assert read_record(folder) == read_record(str(folder)) == record


def test_nan_and_infinity_are_written_as_json_that_every_reader_takes(tmp_path):
    record = a_record(final_values={"loss": math.nan, "up": math.inf, "down": -math.inf})
    write_record(record, tmp_path)
    text = (tmp_path / RECORD_FILE).read_text()
    strict = json.loads(text, parse_constant=lambda name: pytest.fail(f"bare {name}"))
    assert strict["final_values"] == {"loss": "NaN", "up": "Infinity", "down": "-Infinity"}
    back = read_record(tmp_path).final_values
    assert math.isnan(back["loss"]) and back["up"] == math.inf and back["down"] == -math.inf


def test_a_line_of_metrics_is_one_line_of_json_even_with_nan():
    point = Point(step=3, epoch=1.0, seconds=2.0, values={"val_loss": math.nan})
    line = point_to_line(point)
    assert line.count("\n") == 1 and line.endswith("\n")
    assert json.loads(line)["values"]["val_loss"] == "NaN"


def test_points_stand_in_their_own_file_alone(tmp_path):
    write_record(points_of([0.1]), tmp_path)
    assert "points" not in json.loads((tmp_path / RECORD_FILE).read_text())


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_record_and_nothing_beside_it(
    tmp_path, monkeypatch, step
):
    write_record(a_record(seed=1), tmp_path)

    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full_disk)
    with pytest.raises(OSError, match="No space"):
        write_record(a_record(seed=2), tmp_path)
    monkeypatch.undo()
    assert read_record(tmp_path).seed == 1
    assert [path.name for path in tmp_path.iterdir()] == [RECORD_FILE]


def test_a_value_that_is_no_json_leaves_no_file(tmp_path):
    for value in ({"a": math.nan}, {"a": object()}):
        with pytest.raises((ValueError, TypeError)):
            write_json(tmp_path / "value.json", value)
    assert list(tmp_path.iterdir()) == []


def test_the_new_file_is_whole_before_it_takes_the_old_ones_place(tmp_path, monkeypatch):
    path = tmp_path / "value.json"
    write_json(path, {"old": 1})
    seen = []
    fsync = os.fsync

    def look(descriptor):
        beside = [file.read_text() for file in tmp_path.glob("value.json.*.part")]
        seen.append((json.loads(path.read_text()), *beside))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    write_json(path, {"new": 2})
    # Once the file, once the folder.
    [(old, beside), (new,)] = seen
    assert new == {"new": 2}
    assert old == {"old": 1} and json.loads(beside) == {"new": 2}
    assert json.loads(path.read_text()) == {"new": 2}


def test_a_record_of_version_1_is_read(tmp_path):
    values = a_record().model_dump(mode="json", exclude={"points", "checkpoints"})
    write_json(tmp_path / RECORD_FILE, {**values, "schema_version": 1})
    assert read_record(tmp_path).checkpoints is None


@pytest.mark.parametrize("version", [0, 3, "1", None])
def test_another_schema_version_is_refused(tmp_path, version):
    values = a_record().model_dump(mode="json", exclude={"points"})
    write_json(tmp_path / RECORD_FILE, {**values, "schema_version": version})
    with pytest.raises(RecordError, match=f"version {version}"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"schema_version": 1}']
)
def test_a_broken_record_is_refused_with_one_sentence(tmp_path, content):
    (tmp_path / RECORD_FILE).write_bytes(content)
    with pytest.raises(RecordError) as caught:
        read_record(tmp_path)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_field_that_does_not_fit_is_named(tmp_path):
    values = a_record().model_dump(mode="json", exclude={"points"})
    write_json(tmp_path / RECORD_FILE, {**values, "updates": "many"})
    with pytest.raises(RecordError, match="updates: Input should be a valid integer"):
        read_record(tmp_path)
    write_json(tmp_path / RECORD_FILE, {**values, "colour": "red"})
    with pytest.raises(RecordError, match="colour"):
        read_record(tmp_path)


def test_a_folder_without_a_record_is_refused(tmp_path):
    with pytest.raises(RecordError, match="FileNotFoundError"):
        read_record(tmp_path)


def test_half_a_last_line_of_metrics_is_left_out_and_a_broken_one_inside_is_refused(tmp_path):
    record = points_of([0.1, 0.2])
    write_run(tmp_path, record)
    file = tmp_path / METRICS_FILE
    whole = file.read_text()
    file.write_text(whole + whole.splitlines()[0][:20])
    assert read_record(tmp_path) == record
    file.write_text(whole.replace("step", "stop", 1))
    with pytest.raises(RecordError):
        read_record(tmp_path)


def test_records_come_in_the_order_of_their_folders_names(tmp_path):
    for name, seed in (("b", 2), ("a", 1), ("c", 3)):
        write_run(tmp_path / name, a_record(seed=seed))
    (tmp_path / "empty").mkdir()
    assert [record.seed for record in read_records(tmp_path)] == [1, 2, 3]


def test_a_record_does_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        a_record().seed = 2


def test_seconds_to_a_target_are_those_of_the_first_point_that_meets_it():
    record = points_of([0.5, math.nan, 0.9, 0.8, 0.95])
    assert record.seconds_to(0.9) == 3.0
    assert record.seconds_to(0.96) == math.inf
    falling = points_of([2.0, math.nan, 1.0], mode="min", monitor="val_loss")
    assert falling.seconds_to(1.0) == 3.0
    assert falling.seconds_to(0.5) == math.inf


def test_the_best_within_some_seconds_ignores_what_is_not_finite():
    record = points_of([0.5, math.nan, math.inf, 0.4, 0.9])
    assert record.best_within(4.0) == 0.5
    assert record.best_within(5.0) == 0.9
    assert record.best_within(0.5) is None
    assert points_of([2.0, 1.0], mode="min").best_within(9.0) == 1.0
