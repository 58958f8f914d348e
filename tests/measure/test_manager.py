"""The manager survives whatever becomes of a worker, and tells what it was."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from slipstream.errors import BackendError, DataError
from slipstream.measure import Failed, Launch, WorkerPool, installed_backends, require_backend
from slipstream.measure import manager as manager_module
from slipstream.measure.confine import MEMORY_VARIABLE
from slipstream.measure.messages import RangeTest, TrainingEvaluated, TrainingProgress
from slipstream.plan import Plan

PLAN = Plan()


def open_and_probe(launch, timeout=20.0):
    with launch.worker("jax") as worker:
        worker.open()
        outcome = worker.probe(PLAN, timeout)
        return outcome, worker.is_alive


def test_a_worker_answers_and_its_chatter_goes_to_the_log(fake_launch, tmp_path):
    with fake_launch().worker("jax", "trial") as worker:
        assert worker.open().backend == "jax"
        assert worker.probe(PLAN).compile_seconds == 0.5
        measured = worker.measure(0.5)
        assert max(measured.examples_per_second) == 1010.0
    assert not worker.is_alive
    assert "chatter of a library" in (tmp_path / "logs" / "trial.log").read_text()


@pytest.mark.parametrize(
    ("what", "kind", "words"),
    [
        ("crash", "crash", "exit code 3; last line: the last words before the crash"),
        ("segfault", "crash", "SIGSEGV"),
        ("killed", "out_of_memory", "SIGKILL"),
        ("garbage", "crash", "Segmentation fault maybe"),
    ],
)
def test_the_end_of_a_worker_is_a_value(fake_launch, what, kind, words):
    outcome, is_alive = open_and_probe(fake_launch({"on": "probe", "do": what}))
    assert isinstance(outcome, Failed)
    assert outcome.kind == kind
    assert words in outcome.message
    assert not is_alive


@pytest.mark.parametrize(
    ("print_before", "message"),
    [("", "was ended by SIGSEGV"), ("boom", "was ended by SIGSEGV; last line: boom")],
)
def test_a_signal_is_told_by_its_name_alone(print_before, message):
    code = (
        "import faulthandler, os, signal, sys; faulthandler.enable(); "
        f"print({print_before!r}, file=sys.stderr, flush=True); "
        "os.kill(os.getpid(), signal.SIGSEGV)"
    )
    launch = Launch("digits", command=(sys.executable, "-S", "-c", code))
    with launch.worker("jax") as worker:
        failed = worker.open()
    assert "Fatal Python error" in failed.log
    assert (failed.kind, failed.message) == ("crash", message)


@pytest.mark.parametrize(
    ("said", "limit", "kind"),
    [
        ("terminate called after throwing an instance of 'std::bad_alloc'", {}, "out_of_memory"),
        ("", {MEMORY_VARIABLE: "1000000000"}, "out_of_memory"),
        ("", {}, "crash"),
    ],
)
def test_native_code_that_gets_no_memory_gives_up(said, limit, kind):
    code = (
        "import os, sys; "
        f"print({said!r}, 'Fatal Python error: Aborted', sep='\\n', file=sys.stderr); "
        "print('  File \"threading.py\", line 1 in wait\\n' * 60, file=sys.stderr, flush=True); "
        "os.abort()"
    )
    launch = Launch("digits", variables=limit, command=(sys.executable, "-S", "-c", code))
    with launch.worker("jax") as worker:
        failed = worker.open()
    assert failed.kind == kind
    assert failed.message == f"was ended by SIGABRT{said and f'; last line: {said}'}"


def test_a_hang_is_ended_with_all_it_started(fake_launch, tmp_path):
    outcome, is_alive = open_and_probe(fake_launch({"on": "probe", "do": "hang"}), timeout=1.0)
    assert (outcome.kind, is_alive) == ("hang", False)
    child = int(outcome.log.split()[-1])
    deadline = time.monotonic() + 10
    while _is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_running(child)


@pytest.mark.parametrize(
    ("error", "message", "kind"),
    [
        ("ValueError", "ValueError: shapes", "error"),
        ("XlaRuntimeError", "RESOURCE_EXHAUSTED: Out of memory allocating", "out_of_memory"),
        ("MemoryError", "MemoryError", "out_of_memory"),
        ("DecodeError", "Error parsing message: Arena alloc failed", "out_of_memory"),
        ("RuntimeError", "RuntimeError: could not create a primitive", "error"),
    ],
)
def test_an_error_is_a_value_and_the_worker_goes_on(fake_launch, error, message, kind):
    problem = {"error": error, "message": message}
    rule = {"on": "probe", "do": "problem", "problem": problem}
    with fake_launch(rule).worker("torch") as worker:
        worker.open()
        outcome = worker.probe(PLAN)
        assert (outcome.kind, outcome.message) == (kind, message)
        assert worker.measure(0.1).peak_memory_bytes == 10


def test_an_input_error_is_raised_in_the_same_words(fake_launch):
    error = DataError("labels from 0 to 9", "a label 10", "Subtract 1.")
    problem = {
        "error": "DataError",
        "expected": error.expected,
        "came": error.came,
        "mend": error.mend,
        "message": str(error),
    }
    launch = fake_launch({"on": "open", "do": "problem", "problem": problem})
    with launch.worker("jax") as worker, pytest.raises(DataError) as raised:
        worker.open()
    assert str(raised.value) == str(error)


def test_ctrl_c_ends_the_worker_and_goes_on(fake_launch):
    def interrupt(_):
        raise KeyboardInterrupt

    worker = fake_launch({"on": "train", "do": "wait_for_stop"}).worker("jax")
    worker.open()
    with pytest.raises(KeyboardInterrupt):
        worker.train(manager_module.messages.Train(plan=PLAN), interrupt)
    assert not worker.is_alive


def test_happenings_arrive_and_may_ask_to_stop(fake_launch, record_values):
    seen = []

    def watch(happening):
        seen.append(happening)
        return isinstance(happening, TrainingProgress) and happening.update >= 2

    rule = {"on": "train", "do": "wait_for_stop", "record": record_values}
    with fake_launch(rule).worker("jax") as worker:
        worker.open()
        trained = worker.train(manager_module.messages.Train(plan=PLAN), watch, 20.0)
    assert trained.record.outcome == "stopped_early"
    assert isinstance(seen[-1], TrainingEvaluated)
    assert [h.update for h in seen if isinstance(h, TrainingProgress)] == [1, 2]


def test_a_range_test_brings_nan_across(fake_launch):
    with fake_launch().worker("jax") as worker:
        worker.open()
        request = RangeTest(plan=PLAN, lowest=1e-3, highest=1e-2, updates=2)
        points = worker.range_test(request).points
    assert points[0] == (1e-3, 2.0)
    assert points[1][1] != points[1][1]


def test_the_pool_keeps_a_worker_and_replaces_a_dead_one(fake_launch, asked):
    launch = fake_launch({"on": "probe", "when": {"batch.size": 7}, "do": "crash"})
    with WorkerPool(launch) as pool:
        first = pool.get("jax")
        assert pool.get("jax") is first
        assert isinstance(first.probe(PLAN.edit({"batch.size": 7})), Failed)
        second = pool.get("jax")
        assert second is not first
        assert second.probe(PLAN).compile_seconds == 0.5
        pool.replace("jax")
        assert not second.is_alive
    assert len({request["pid"] for request in asked()}) == 2


def test_a_missing_backend_is_refused_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(manager_module, "_is_importable", lambda module: module == "torch")
    assert installed_backends() == ("torch",)
    with pytest.raises(BackendError, match=r"got only torch. Run: pip install 'slipstream\[jax\]'"):
        require_backend("jax")
    with pytest.raises(BackendError, match="got 'theano'"):
        require_backend("theano")


def test_the_manager_imports_no_framework():
    code = (
        "import sys, slipstream.measure; "
        "print([m for m in ('keras', 'tensorflow', 'jax', 'torch') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, check=True, capture_output=True, text=True)
    assert printed.stdout.strip() == "[]", printed.stderr


def test_a_worker_ends_when_its_manager_is_killed(tmp_path):
    code = (
        "import time; from pathlib import Path; from slipstream.measure import Launch; "
        "worker = Launch('digits').worker('jax'); worker.begin_open(); "
        "print(worker._process._process.pid, flush=True); time.sleep(60)"
    )
    manager = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(manager.stdout.readline())
    assert psutil.pid_exists(pid)
    os.kill(manager.pid, signal.SIGKILL)
    manager.wait()
    manager.stdout.close()
    deadline = time.monotonic() + 30
    while _is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_running(pid)


def _is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_log_may_be_kept_nowhere(fake_launch):
    from dataclasses import replace

    launch = replace(fake_launch({"on": "probe", "do": "crash"}), log_folder=None)
    outcome, _ = open_and_probe(launch)
    assert "the last words" in outcome.log
    assert not Path("jax.log").exists()
