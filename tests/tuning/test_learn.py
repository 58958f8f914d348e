"""The Learn stage on trainings whose outcome is given by a formula."""

import contextlib
import math
from types import SimpleNamespace

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend
from tuning_help import record_of

from slipstream.errors import RecordError
from slipstream.measure.manager import Failed
from slipstream.plan import Plan
from slipstream.tuning import learn as learning
from slipstream.tuning.baselines import Baselines
from slipstream.tuning.context import Context, Deadline
from slipstream.tuning.journal import JOURNAL_FILE, RANGES
from slipstream.tuning.learn import FEWEST_TRIALS, learn
from slipstream.tuning.runtime_values import RuntimeResult, RuntimeRow
from strategies import facts

GIVEN = Plan().edit({"runtime.backend": "torch", "duration.epochs": 20})
FACTS = facts(target=0.9, as_given=GIVEN, num_test=0, input_shapes={"x": (8,)})
RUNTIME = RuntimeResult(
    rows=(
        RuntimeRow(
            label="torch", backend="torch", batch_size=32, changes={"runtime.backend": "torch"},
            outcome="measured", compile_seconds=0.1, examples_per_second=1e4,
            projected_seconds=2.0,
        ),
    ),
    seconds=1.0,
    epochs_planned=20,
)  # fmt: skip
BASELINES = Baselines(as_given=GIVEN, tuned=GIVEN, sweep=(), target=0.9, quality=0.9)


def seconds_of(plan):
    """The nearer the rate to 0.01, the sooner; a plan of many epochs is slower."""
    return 1.0 + abs(math.log10(plan.schedule.peak / 0.01)) + 0.1 * plan.duration.epochs


class Pool:
    """Stands for the warm workers; every training takes no time at all."""

    def __init__(self, value=0.95, stop_after=None):
        self.value = value
        self.stop_after = stop_after
        self.plans = []

    def get(self, backend):
        return self

    def range_test(self, request, timeout):
        return Failed("error", "tells nothing")

    def train(self, request, on_event):
        if self.stop_after is not None and len(self.plans) >= self.stop_after:
            raise KeyboardInterrupt
        self.plans.append(request.plan)
        record = record_of(request.plan, self.value, seconds_of(request.plan))
        return SimpleNamespace(record=record)


@pytest.fixture
def run(tmp_path):
    def run(pool, seconds, last=0.0):
        context = Context(FACTS, tmp_path, pool, lambda _: None)
        return learn(context, BASELINES, RUNTIME, Deadline(seconds), Deadline(last))

    return run


def test_the_plan_that_gets_there_first_wins(run):
    pool = Pool()
    result = run(pool, 1.5)
    trained = [plan for plan in pool.plans if plan.seeds.seed == 1000]
    fastest = min(trained, key=seconds_of)
    assert result.plan is not None
    assert seconds_of(result.plan) == seconds_of(fastest) == pytest.approx(result.score)
    assert len(result.trials) == len(trained)


def test_without_time_a_few_plans_are_tried(run):
    result = run(Pool(), 0.0)
    assert len(result.trials) == FEWEST_TRIALS
    assert result.plan is not None


def test_while_nothing_met_the_target_it_goes_on_to_the_end_of_the_budget(run):
    result = run(Pool(value=0.5), 0.0, last=0.6)
    assert result.plan is None
    assert len(result.trials) > FEWEST_TRIALS


def test_what_an_interruption_hit_is_tried_again(run, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(Pool(stop_after=2), 0.0)
    later = Pool()
    result = run(later, 0.0)
    assert len(result.trials) == FEWEST_TRIALS
    # The portfolio's first recipes: none is left out, none is trained twice.
    recipes = [row.recipe for row in result.trials]
    assert len(set(recipes)) == FEWEST_TRIALS
    journal = optuna.storages.journal.JournalFileBackend(str(tmp_path / JOURNAL_FILE))
    study = optuna.load_study(study_name="learn", storage=optuna.storages.JournalStorage(journal))
    assert RANGES in study.user_attrs
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * FEWEST_TRIALS


def test_wherever_it_is_interrupted_it_asks_for_the_same_trials(tmp_path, monkeypatch):
    """Past the portfolio and the sampler's own beginning, to what TPE proposes."""
    first = learning.Portfolio.first_trials
    monkeypatch.setattr(learning.Portfolio, "first_trials", lambda portfolio: first(portfolio)[:4])
    monkeypatch.setattr(learning, "FEWEST_TRIALS", 12)
    monkeypatch.setattr(learning, "STARTUP_TRIALS", 2)

    def searched(folder, pool):
        folder.mkdir(exist_ok=True)
        context = Context(FACTS, folder, pool, lambda _: None)
        return learn(context, BASELINES, RUNTIME, Deadline(0.0), Deadline(0.0)).trials

    whole = searched(tmp_path / "whole", Pool())
    assert len({repr(row.changes) for row in whole[4:]}) > 3
    append = JournalFileBackend.append_logs
    writes = []

    def dying(backend, logs):
        writes.append(logs)
        if len(writes) % 17 == 0:
            raise KeyboardInterrupt
        append(backend, logs)

    monkeypatch.setattr(JournalFileBackend, "append_logs", dying)
    trials, sittings = None, 0
    while trials is None:
        sittings += 1
        with contextlib.suppress(KeyboardInterrupt):
            trials = searched(tmp_path / "killed", Pool())
    assert sittings > 5
    assert len(trials) == 12
    assert trials == whole


def test_a_trial_that_was_killed_just_before_its_end_was_told_is_not_run_again(
    run, tmp_path, monkeypatch
):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(optuna.Study, "tell", killed)
        run(Pool(), 0.0)
    # And in the middle of a line, with the journal's lock taken.
    with (tmp_path / JOURNAL_FILE).open("ab") as journal:
        journal.write(b'{"op_code": 4, "worker')
    (tmp_path / f"{JOURNAL_FILE}.lock").symlink_to(tmp_path / JOURNAL_FILE)
    later = Pool()
    result = run(later, 0.0)
    assert len(result.trials) == FEWEST_TRIALS
    assert len({row.number for row in result.trials}) == FEWEST_TRIALS
    searched = [plan for plan in later.plans if plan.seeds.seed == 1000]
    assert len(searched) == FEWEST_TRIALS - 1


def test_a_search_among_other_choices_is_not_gone_on_with(run, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        run(Pool(stop_after=1), 0.0)
    suggested = learning._Learner._suggested

    def other(learner, trial):
        suggest = trial.suggest_categorical
        with monkeypatch.context() as patched:
            patched.setattr(trial, "suggest_categorical", lambda name, _: suggest(name, ["x"]))
            return suggested(learner, trial)

    monkeypatch.setattr(learning._Learner, "_suggested", other)
    with pytest.raises(RecordError, match="a search among other choices"):
        run(Pool(), 0.0)
