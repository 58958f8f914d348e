"""A look at several plans: each is checked in a process on its backend before anything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slipstream.commands.look_at_plans import look_at_plans, past_checks
from slipstream.errors import PlanError, TrainingError
from slipstream.measure import Launch
from slipstream.plan import Plan
from slipstream.progress import Happening, Notice, StageDone
from slipstream.task import TaskFacts

JAX = Plan().edit({"runtime.backend": "jax"})
TORCH = Plan().edit({"runtime.backend": "torch"})


def test_every_plan_is_checked_in_one_process_for_each_backend(
    launch: Launch, asked: Callable[[], list[str]]
) -> None:
    told: list[Happening] = []
    warned = JAX.edit({"batch.size": 14})
    look_at_plans(launch, {"plan a": JAX, "plan b": TORCH, "plan c": warned}, told.append)
    assert asked() == [
        "jax open", "jax look", "jax check plan a", "jax check plan c",
        "torch open", "torch look", "torch check plan b",
    ]  # fmt: skip
    # What the look and a plan's check both warn of is said once.
    assert [type(one) for one in told][1:] == [Notice, StageDone]


@pytest.mark.parametrize("at", ["open", "look", "check"])
def test_a_worker_that_is_killed_is_asked_once_more(
    at: str, launch: Launch, facts: TaskFacts, asked: Callable[[], list[str]], tmp_path: Path
) -> None:
    (tmp_path / "asked.txt.kill").write_text(at)
    found = look_at_plans(launch, {"plan a": JAX, "plan b": JAX})
    assert found.facts == facts and not (tmp_path / "asked.txt.kill").exists()
    assert asked()[-4:] == ["jax open", "jax look", "jax check plan a", "jax check plan b"]


def test_a_plan_that_cannot_be_trained_is_refused(launch: Launch) -> None:
    with pytest.raises(PlanError, match="luck"):
        look_at_plans(launch, {"plan a": JAX, "plan b": JAX.edit({"batch.size": 13})})


def test_further_plans_are_told_apart_by_whether_they_can_be_trained(
    launch: Launch, facts: TaskFacts, asked: Callable[[], list[str]]
) -> None:
    def further(found: TaskFacts) -> dict[str, Plan]:
        assert found == facts
        return {"odd": JAX.edit({"batch.size": 13}), "even": JAX.edit({"batch.size": 14})}

    found = look_at_plans(launch, {"plan": JAX}, further=further)
    assert {name: error.came for name, error in found.refused.items()} == {"odd": "13"}
    assert asked()[2:] == ["jax check plan", "jax check odd", "jax check even"]
    assert (found.facts, len(found.warnings)) == (facts, 1)


def test_what_is_refused_after_a_training_is_a_failure() -> None:
    with pytest.raises(TrainingError, match="luck") as caught, past_checks():
        raise PlanError("luck", "13", "Set another.")
    assert caught.value.exit_code == 1
