"""Tracebacks, the import hook, descriptions, records and the choice: without Keras."""

from __future__ import annotations

import importlib
import logging
import math
import re
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from slipstream.commands.report import rebuild
from slipstream.errors import InputError
from slipstream.record import Failure, Point, read_record
from slipstream.script import choice, describe
from slipstream.script.advice import ROWS, advice_for
from slipstream.script.choice import Trial, choose
from slipstream.script.hook import WhenImported
from slipstream.script.program import read_source
from slipstream.script.records import Fit, keep, record_of, write_report
from slipstream.script.run import _is_the_scripts
from slipstream.script.tracebacks import without_our_frames


def test_the_hook_sees_every_import_and_leaves_the_module_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "hooked_package"
    package.mkdir()
    (package / "__init__.py").write_text("from hooked_package.inner import VALUE\nHERE = VALUE")
    (package / "inner.py").write_text("VALUE = 3")
    told: list[object] = []
    hook = WhenImported(
        "hooked_package",
        lambda: told.append("before"),
        lambda module, seconds: told.extend([module.HERE, seconds >= 0.0]),
    )
    with hook:
        inner = importlib.import_module("hooked_package.inner")
        package_module = sys.modules["hooked_package"]
        importlib.reload(package_module)
    assert inner.VALUE == 3
    assert told == ["before", 3, True] * 2
    assert hook not in sys.meta_path
    assert "exec_module" not in vars(package_module.__loader__)


def test_an_import_that_fails_shows_no_frame_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "hooked_failing.py").write_text("1 / 0")
    with WhenImported("hooked_failing", lambda: None, lambda module, seconds: None):
        try:
            importlib.import_module("hooked_failing")
        except ZeroDivisionError as error:
            shown = traceback.extract_tb(without_our_frames(error.__traceback__))
            whole = traceback.extract_tb(error.__traceback__)
    files = [Path(frame.filename).name for frame in shown]
    assert "hook.py" in [Path(frame.filename).name for frame in whole]
    assert files == [Path(__file__).name, "__init__.py", "hooked_failing.py"]


def test_each_row_of_advice_is_one_line_with_patterns_that_compile() -> None:
    for row in ROWS:
        re.compile(row.pattern)
        re.compile(row.line)
        assert "\n" not in row.advice
        assert row.advice.endswith(".")


def test_advice_looks_at_causes_and_at_the_line() -> None:
    class Optimizer:
        learning_rate = 0.1

    with pytest.raises(RuntimeError) as caught:
        try:
            Optimizer().learning_rate(3)  # type: ignore[operator]
        except TypeError as error:
            raise RuntimeError("while training") from error
    assert "not a function of the step" in (advice_for(caught.value) or "")
    text = "text"
    with pytest.raises(TypeError) as other:
        text()  # type: ignore[operator]
    assert advice_for(other.value) is None


@pytest.mark.parametrize(
    ("arguments", "examples", "steps"),
    [
        ({"x": np.zeros((10, 2))}, 10, 1),
        ({"x": np.zeros((65, 2)), "batch_size": 32}, 65, 3),
        ({"x": {"a": np.zeros((10, 2))}, "validation_split": 0.25}, 7, 1),
        ({"x": np.zeros((10, 2)), "steps_per_epoch": 4}, None, 4),
        ({"x": range(7)}, None, 7),
        ({"x": (value for value in range(7))}, None, None),
        ({}, None, None),
    ],
)
def test_examples_and_steps(
    arguments: dict[str, object], examples: int | None, steps: int | None
) -> None:
    assert describe.num_examples(arguments) == examples
    assert describe.steps_per_epoch(arguments) == steps


def test_loaders_and_batched_datasets_tell_how_many_examples_they_hold() -> None:
    class Batches(SimpleNamespace):
        def __len__(self) -> int:
            return 3

    spec = {"x": SimpleNamespace(shape=(8, 2))}
    unknown = {"x": SimpleNamespace(shape=(None, 2))}
    assert describe.examples_per_epoch({"x": Batches(element_spec=(spec, None))}) == 24
    assert describe.examples_per_epoch({"x": Batches(element_spec=(unknown, None))}) is None
    assert describe.examples_per_epoch({"x": Batches(batch_size=5)}) == 15
    assert describe.examples_per_epoch({"x": Batches()}) is None
    assert describe.examples_per_epoch({"x": np.zeros((7, 2))}) == 7


def test_a_model_without_configuration_is_described_as_far_as_it_goes() -> None:
    weights = [SimpleNamespace(shape=(2, 3)), SimpleNamespace(shape=(3,))]
    model = SimpleNamespace(weights=weights, loss={"a": "mse", "b": len})
    assert describe.parameters_of(model) == 9
    assert describe.loss_of(model) == "a: mse, b: len"
    assert describe.optimizer_of(model) == describe.MISSING
    assert "weights" not in describe.settings_of(model)
    other = SimpleNamespace(weights=weights[:1])
    assert describe.fingerprint_of(model) != describe.fingerprint_of(other)


def fit_facts(**changes: object) -> Fit:
    points = [
        Point(step=10 * n, epoch=n, seconds=0.5 * n, values={"loss": 1.0 / n, "val_loss": value})
        for n, value in ((1, 0.5), (2, 0.3), (3, math.nan))
    ]
    facts: dict[str, object] = {
        "name": "train, fit 1",
        "reference": "slipstream run train.py",
        "fingerprint": "0" * 12,
        "backend": "jax",
        "seed": None,
        "monitor": "val_loss",
        "started_at": "2026-01-01T00:00:00+00:00",
        "outcome": "completed",
        "import_seconds": 1.5,
        "seconds": 2.0,
        "evaluate_seconds": 0.5,
        "updates": 30,
        "examples": 300,
        "parameters": 9,
        "points": tuple(points),
        "applied": {"loop": "slipstream"},
        "notes": ("layer 'odd' runs in Keras",),
    }
    return Fit(**{**facts, **changes})  # type: ignore[arg-type]


def test_a_fits_record_reads_back_and_says_no_more_than_is_known(tmp_path: Path) -> None:
    record = record_of(fit_facts())
    keep(record, tmp_path / "fit_1")
    again = read_record(tmp_path / "fit_1")
    assert again.model_dump(mode="json") == record.model_dump(mode="json")
    assert (again.best_value, again.best_epoch, again.epochs, again.updates) == (0.3, 2, 3, 30)
    assert again.examples_per_second == pytest.approx(300 / 1.5)
    assert (again.plan, again.plan_digest, again.data_hash) == ({}, "", "")
    assert "layer 'odd' runs in Keras" in again.notes
    assert any("no seed" in note for note in again.notes)


def test_a_fit_that_failed_before_its_first_epoch_has_a_record(tmp_path: Path) -> None:
    failure = Failure(kind="ValueError", message="shapes")
    record = record_of(fit_facts(points=(), outcome="failed", failure=failure, seed=3))
    keep(record, tmp_path)
    again = read_record(tmp_path)
    assert (again.best_value, again.epochs, again.seed) == (None, 0, 3)
    assert again.failure == failure


def test_reports_of_one_fit_and_of_all(tmp_path: Path) -> None:
    record = record_of(fit_facts())
    for name in ("fit_1", "fit_2"):
        keep(record, tmp_path / name)
    one = write_report(record, tmp_path / "fit_1", "today").read_text()
    assert "layer &#39;odd&#39; runs in Keras" in one
    assert "slipstream run train.py" in one
    both = rebuild(tmp_path).read_text()
    assert "fit 2" in both
    # No plan was followed: none may be shown.
    assert "optimizer" not in both.split("<script")[0].split("</style>")[1]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.py", None, "does not exist"),
        (".", None, "a folder"),
        ("book.ipynb", b"{}", "nbconvert"),
        ("train.pyc", b"\0\0", "no text"),
    ],
)
def test_what_is_no_script_is_refused(
    name: str, content: bytes | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_source(name)


def test_only_the_scripts_own_retracing_is_complained_of() -> None:
    def said(name: str) -> bool:
        text = f"5 out of the last 9 calls to <{name} at 0x7f> triggered tf.function retracing."
        return _is_the_scripts(logging.makeLogRecord({"msg": text}))

    assert not said("bound method TensorflowProgram._run_block of <slipstream.backends.tensorflow")
    assert not said("function TensorFlowTrainer.test_step")
    assert said("function my_step")
    assert _is_the_scripts(logging.makeLogRecord({"msg": "TensorFlowTrainer is slow"}))


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was tried: nothing is really run."""
    tried: list[str] = []
    seconds = {"tensorflow": 0.2, "jax": 0.1, "torch": 0.19}

    def trial(script: str, arguments: object, backend: str) -> Trial | str:
        tried.append(backend)
        if backend == "torch":
            return "it ended with RuntimeError: no"
        return Trial(first_seconds=1.0, step_seconds=seconds[backend], updates=100)

    monkeypatch.setattr(choice, "_trial", trial)
    monkeypatch.setattr(choice, "installed_backends", lambda: ("tensorflow", "jax", "torch"))
    monkeypatch.setattr(choice, "own_backend", lambda: "tensorflow")
    monkeypatch.setenv("SLIPSTREAM_CACHE_DIR", str(tmp_path / "cache"))
    return tried


def test_the_quickest_is_chosen_once(tmp_path: Path, chosen: list[str]) -> None:
    script = tmp_path / "train.py"
    script.write_text("import keras, parts")
    (tmp_path / "parts.py").write_text("")
    said: list[str] = []
    assert choose(str(script), (), said.append) == "jax"
    assert chosen == ["tensorflow", "jax", "torch"]
    assert said[-1].startswith("jax is quickest: jax 11.0 s, tensorflow 21.0 s for the first fit")
    assert "torch: it ended with RuntimeError: no" in said[-1]
    assert choose(str(script), ("--other",), said.append) == "jax"
    assert len(chosen) == 3
    assert "as measured before" in said[-1]
    # The modules of its folder belong to it.
    (tmp_path / "parts.py").write_text("WIDTH = 3")
    choose(str(script), (), said.append)
    assert len(chosen) == 6


def test_a_tied_script_and_a_lonely_backend_are_not_tried(
    tmp_path: Path, chosen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "train.py"
    said: list[str] = []
    script.write_text("import keras, torch")
    assert choose(str(script), (), said.append) == ""
    script.write_text("print(1)")
    assert choose(str(script), (), said.append) == ""
    script.write_text("import keras")
    monkeypatch.setattr(choice, "installed_backends", lambda: ("jax",))
    assert choose(str(script), (), said.append) == ""
    assert chosen == []
    assert all(
        word in line for word, line in zip(("PyTorch", "Keras", "only jax"), said, strict=True)
    )


def test_a_script_that_fails_on_its_own_backend_keeps_it(
    tmp_path: Path, chosen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "own_backend", lambda: "torch")
    script = tmp_path / "train.py"
    script.write_text("import keras")
    said: list[str] = []
    assert choose(str(script), (), said.append) == ""
    assert chosen == ["torch"]
    assert said[-1].endswith("its own backend: torch: it ended with RuntimeError: no")


def test_a_trial_of_a_script_without_a_fit(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("import os, sys\nprint(input() if len(sys.argv) > 1 else 1)")
    trial = choice._trial
    assert trial(str(script), (), "jax") == "it ended without a call of Model.fit"
    # Nobody answers.
    assert "EOFError" in str(trial(str(script), ("ask",), "jax"))
