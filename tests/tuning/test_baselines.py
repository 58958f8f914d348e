"""Baselines, on trainings whose outcome is given: what of it is told, and what is not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tuning_help import record_of

from slipstream.commands._optimize_text import baselines_text
from slipstream.plan import Plan
from slipstream.tuning import baselines as baselines_room
from slipstream.tuning.baselines import find_baselines
from slipstream.tuning.context import Context, Deadline
from strategies import facts

GIVEN = Plan().edit({"runtime.backend": "torch", "data.cache": "device"})
FACTS = facts(target=0.9, as_given=GIVEN, num_test=0, input_shapes={"x": (8,)})


class Pool:
    """Stands for the workers: plain SGD comes nearer to 1, the nearer its rate is to 0.1."""

    def __init__(self, outcome: str) -> None:
        self.outcome = outcome

    def get(self, backend: str) -> Pool:
        return self

    def train(self, request, on_event):
        value = 0.5 if request.plan.optimizer.name == "adam" else 0.95 - request.plan.schedule.peak
        record = record_of(request.plan, value).model_copy(update={"outcome": self.outcome})
        return SimpleNamespace(record=record)


@pytest.mark.parametrize("outcome", ["completed", "limit_reached"])
def test_what_was_cut_is_chosen_by_and_not_told(outcome, tmp_path, monkeypatch):
    monkeypatch.setattr(baselines_room, "find_range", lambda *_: None)
    told = []
    context = Context(FACTS, tmp_path, Pool(outcome), told.append)
    found = find_baselines(context, GIVEN, GIVEN, Deadline(60.0))
    assert (found.tuned.schedule.peak, found.quality) == (0.01, pytest.approx(0.94))
    is_cut = outcome == "limit_reached"
    said = [*(step.text for step in told), baselines_text(found)]
    assert len(told) == 4
    assert found.is_cut == is_cut and all(row.is_cut == is_cut for row in found.sweep)
    assert [("0.94" in text, "0.5000" in text) for text in said].count((False, False)) == (
        5 if is_cut else 2
    )
    if is_cut:
        assert said[0] == "as given: cut off after 2.0 s, at 1 of 20 epochs"
        assert said[3].endswith("1 of 20 epochs; the target was met after 2.0 s")
        assert "what the baselines reach in the end was not waited for" in said[-1]
