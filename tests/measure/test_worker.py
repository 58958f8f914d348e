"""The worker's own side that needs no Keras: its protocol, and what it tells of a training."""

import subprocess
import sys

from slipstream.errors import TaskError
from slipstream.measure.messages import (
    Look,
    Numbered,
    Open,
    Problem,
    Quit,
    read_reply,
    to_problem,
    write_line,
)


def converse(*requests, variables):
    command = [sys.executable, "-m", "slipstream.measure.worker"]
    pipe = subprocess.PIPE
    worker = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=variables)
    bodies = []
    with worker:
        for number, request in enumerate(requests):
            worker.stdin.write(write_line(Numbered(number=number, request=request)))
            worker.stdin.flush()
            bodies.append(read_reply(worker.stdout.readline()).body)
        worker.wait(timeout=30)
    return bodies, worker.returncode


def test_a_request_that_fails_is_answered_and_the_worker_goes_on():
    variables = {"KERAS_BACKEND": "no_such_backend", "PATH": ""}
    (opened, looked, quits), exit_code = converse(
        Open(reference="digits"), Look(), Quit(), variables=variables
    )
    assert isinstance(opened, Problem) and "no_such_backend" in opened.message
    assert isinstance(looked, Problem)
    assert quits.kind == "done"
    assert exit_code == 0


def test_input_errors_keep_their_class_and_words():
    error = TaskError("a task", "nothing", "Write one.")
    back = to_problem(error, "").input_error()
    assert (type(back), str(back)) == (TaskError, str(error))


def test_other_errors_are_no_input_errors():
    assert to_problem(ValueError("x"), "").input_error() is None
    assert to_problem(ValueError("x"), "").message == "ValueError: x"
    assert to_problem(KeyboardInterrupt(), "").message == "KeyboardInterrupt"
