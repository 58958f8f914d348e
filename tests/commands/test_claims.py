"""No command writes over what another has left, and a refused one leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slipstream import Task
from slipstream.commands import door
from slipstream.commands._notes import CompareNotes, FitNotes, write_notes
from slipstream.commands.ablate import ablate
from slipstream.commands.compare import compare
from slipstream.commands.fit import fit
from slipstream.commands.given import reference_to
from slipstream.errors import InputError, PlanError
from slipstream.measure import Launch
from slipstream.plan import Plan

JAX = Plan().edit({"runtime.backend": "jax"})
COSINE = JAX.edit({"schedule.name": "cosine"})
UNLUCKY = JAX.edit({"batch.size": 13})


@pytest.fixture
def launched(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands start workers that train nothing."""
    for command in ("fit", "compare", "ablate"):
        module = f"slipstream.commands.{command}"
        monkeypatch.setattr(f"{module}.launch_for", lambda *_: launch)
        monkeypatch.setattr(f"{module}.on_installed", lambda plan: plan)


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """What a fit of a task that was handed over has left."""
    folder = tmp_path / "finished"
    for name in ("task.task.pkl", "plan.toml", "report.html", "record.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("precious")
    write_notes(folder, FitNotes(reference="digits", as_given=Plan().to_dict()))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def a_task() -> Task:
    return Task(model=lambda: None, data=lambda: None, loss="mse")


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("command", ["optimize", "compare", "ablate", "fit"])
def test_a_task_from_python_is_not_put_over_that_of_an_earlier_result(
    command: str, resume: bool, finished: Path
) -> None:
    before = contents(finished)
    arguments = {"optimize": (), "fit": (), "compare": (JAX, COSINE), "ablate": (COSINE,)}
    named = {"resume": resume} if command != "fit" else {}
    with pytest.raises(InputError, match="finished"):
        getattr(door, command)(
            a_task(), *arguments[command], folder=finished, progress=False, **named
        )
    assert contents(finished) == before


@pytest.mark.usefixtures("launched")
@pytest.mark.parametrize("resume", [False, True])
def test_what_a_fit_has_left_is_not_written_over(resume: bool, finished: Path) -> None:
    before = contents(finished)
    with pytest.raises(InputError, match=r"holds command\.json|slipstream fit"):
        ablate("digits", COSINE, finished, resume=resume)
    with pytest.raises(InputError, match=r"holds command\.json|slipstream fit"):
        compare("digits", JAX, COSINE, finished, resume=resume)
    assert contents(finished) == before


@pytest.mark.usefixtures("launched")
def test_to_go_on_takes_the_same_task_and_plans(tmp_path: Path) -> None:
    notes = CompareNotes(
        reference="digits",
        labels=("A", "B"),
        num_seeds=3,
        plans=(JAX.to_dict(), COSINE.to_dict()),
    )
    write_notes(tmp_path, notes)
    with pytest.raises(InputError, match="with other plans"):
        compare("digits", COSINE, JAX, tmp_path, resume=True)
    with pytest.raises(InputError, match="'slipstream ablate' began on digits"):
        ablate("digits", COSINE, tmp_path, resume=True)


@pytest.mark.usefixtures("launched")
def test_a_plan_that_cannot_be_trained_is_refused_before_the_other_is(
    tmp_path: Path, asked: Callable[[], list[str]]
) -> None:
    with pytest.raises(PlanError, match="luck"):
        compare("digits", JAX, UNLUCKY, tmp_path / "out")
    with pytest.raises(PlanError, match="luck"):
        ablate("digits", UNLUCKY, tmp_path / "out")
    assert not any("train" in line for line in asked())
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("launched")
def test_a_refused_fit_leaves_no_folder(tmp_path: Path) -> None:
    # The worker here refuses to train what it has not been told of.
    with pytest.raises(PlanError, match="luck"):
        fit("digits", UNLUCKY, tmp_path / "runs" / "one")
    assert not (tmp_path / "runs").exists()


def test_an_ablation_of_two_seeds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 3 seeds"):
        door.ablate("digits", COSINE, seeds=2, folder=tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("has_results", [False, True])
def test_to_go_on_keeps_the_task_that_results_were_made_of(
    has_results: bool, tmp_path: Path
) -> None:
    file = tmp_path / "task.task.pkl"
    file.write_text("earlier")
    if has_results:
        (tmp_path / "study.json").touch()
    listener: Callable[..., None] = lambda *_: None  # noqa: E731
    reference = reference_to(a_task(), None, None, {}, tmp_path, True, listener)
    assert reference == str(file)
    assert (file.read_bytes() == b"earlier") is has_results
