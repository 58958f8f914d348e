"""Ctrl-C while a worker opens, and while it trains."""

import json
import signal
import threading
from contextlib import contextmanager

import pytest

from slipstream.commands import fit
from slipstream.measure import Job
from slipstream.measure.manager import Worker
from slipstream.measure.messages import Train
from slipstream.progress import Notice, Step

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "pthread_kill"), reason="signals are sent as POSIX has them"
)


def request_of(job):
    return Train(plan=job.plan, folder=str(job.folder), checkpoint_every="auto")


def test_while_the_worker_opens_it_ends_at_once(fake_launch, facts, tmp_path, monkeypatch):
    @contextmanager
    def must_not_begin(*_):
        pytest.fail("nothing is trained yet: there is no wish to wait for")
        yield

    monkeypatch.setattr(fit, "first_interrupt_asks", must_not_begin)
    main = threading.get_ident()
    timer = threading.Timer(1.0, lambda: signal.pthread_kill(main, signal.SIGINT))
    timer.start()
    launch = fake_launch({"on": "open", "do": "hang"})
    job = Job("run", facts.as_given, tmp_path / "run")
    record, asked = fit._train(launch, facts, job, request_of(job), lambda _: None)
    assert asked.signal == signal.SIGINT
    assert (record.outcome, record.updates) == ("interrupted", 0)


def test_while_it_trains_it_is_told_and_asked_to_stop(fake_launch, facts, tmp_path, record_values):
    told = []
    heard = threading.Event()

    def listen(happening):
        told.append(happening)
        if isinstance(happening, Step):
            signal.raise_signal(signal.SIGINT)
        if isinstance(happening, Notice):
            heard.set()

    launch = fake_launch({"on": "train", "do": "wait_for_stop", "record": record_values})
    job = Job("run", facts.as_given, tmp_path / "run")
    _, asked = fit._train(launch, facts, job, request_of(job), listen)
    assert asked.signal == signal.SIGINT
    assert heard.wait(10.0)
    # Nothing of the training is shown once it was asked to stop.
    assert [type(happening) for happening in told] == [Step, Notice]
    assert "within 7 seconds" in told[-1].text


def test_while_the_worker_of_a_finished_training_closes_the_record_stays(
    fake_launch, facts, tmp_path, record_values, monkeypatch
):
    def close(worker):
        signal.raise_signal(signal.SIGINT)
        pytest.fail("an interrupt ends the wait")

    monkeypatch.setattr(Worker, "close", close)
    launch = fake_launch({"on": "train", "record": record_values})
    job = Job("run", facts.as_given, tmp_path / "run")
    record, asked = fit._train(launch, facts, job, request_of(job), lambda _: None)
    assert asked.signal == signal.SIGINT and record.outcome == "completed"
    # The worker writes it; this one writes nothing, and nobody wrote in its place.
    assert not job.folder.exists()


def test_a_run_whose_worker_was_killed_keeps_its_points(fake_launch, facts, tmp_path):
    job = Job("run", facts.as_given, tmp_path / "run")
    job.folder.mkdir()
    points = [
        {"step": step, "epoch": step, "seconds": step, "values": {"val_accuracy": step / 4}}
        for step in (1, 2)
    ]
    lines = "".join(json.dumps(point) + "\n" for point in points)
    (job.folder / "metrics.jsonl").write_text(lines)
    launch = fake_launch({"on": "train", "do": "killed"})
    record, asked = fit._train(launch, facts, job, request_of(job), lambda _: None)
    assert asked is None and record.failure.kind == "out_of_memory"
    assert (record.outcome, record.best_value, record.updates) == ("failed", 0.5, 2)
    assert record.timings.clock_seconds == 2.0
    (job.folder / "metrics.jsonl").write_text("no points\n")
    record, _ = fit._train(launch, facts, job, request_of(job), lambda _: None)
    assert (record.outcome, record.best_value) == ("failed", None)
