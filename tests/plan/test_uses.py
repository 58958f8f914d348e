"""A key that counts for nothing is refused with what it counts beside, or reset where asked."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.errors import PlanError
from slipstream.plan import Plan, all_keys, from_toml, settled, to_toml
from slipstream.plan.uses import USES, use_of
from strategies import plans

# Values other than the defaults, as a person would write them, and what makes each of them count.
EXAMPLES = {
    "optimizer.momentum": (0.9, {"optimizer.name": "lars"}),
    "optimizer.nesterov": (True, {"optimizer.name": "sgd", "optimizer.momentum": 0.9}),
    "optimizer.beta_1": (0.8, {"optimizer.name": "lion"}),
    "optimizer.beta_2": (0.99, {"optimizer.name": "muon"}),
    "optimizer.rho": (0.95, {"optimizer.name": "adadelta"}),
    "optimizer.trust": (0.01, {"optimizer.name": "lars"}),
    "optimizer.epsilon": (1e-5, {"optimizer.name": "rmsprop"}),
    "optimizer.decay_norm_and_bias": (True, {"optimizer.weight_decay": 0.01}),
    "optimizer.lookahead_share": (0.8, {"optimizer.lookahead": 5}),
    "optimizer.norm_batches": (8, {"optimizer.swa": 0.5}),
    "groups.rate": (0.1, {"groups.pattern": "kernel"}),
    "schedule.floor": (0.1, {"schedule.name": "warm_restarts"}),
    "schedule.decay_rate": (0.5, {"schedule.name": "step_decay"}),
    "schedule.decay_every": (0.1, {"schedule.name": "inverse_time"}),
    "schedule.staircase": (True, {"schedule.name": "exponential"}),
    "schedule.power": (3.0, {"schedule.name": "polynomial"}),
    "schedule.decay_last": (0.3, {"schedule.name": "warmup_stable_decay"}),
    "schedule.decay_shape": ("sqrt", {"schedule.name": "warmup_stable_decay"}),
    "schedule.pieces": ("0.5: 0.2", {"schedule.name": "piecewise_constant"}),
    "schedule.cycles": (5, {"schedule.name": "warm_restarts"}),
    "schedule.momentum_low": (0.8, {"schedule.name": "one_cycle", "schedule.warmup": 0.3}),
    "schedule.plateau_factor": (0.2, {"schedule.plateau_patience": 3}),
    "schedule.plateau_floor": (0.1, {"schedule.plateau_patience": 3}),
    "schedule.plateau_cooldown": (2, {"schedule.plateau_patience": 3}),
    "schedule.plateau_min_delta": (0.01, {"schedule.plateau_patience": 3}),
    "batch.rate_base": (64, {"batch.rate_scaling": "linear"}),
    "precision.float32_layers": ("auto", {"precision.policy": "mixed_float16"}),
    "clipping.window": (50, {"clipping.quantile": 0.9}),
    "regularization.adaptive_gap": (0.1, {"regularization.l1": 1e-4}),
    "regularization.adaptive_step": (
        2.0,
        {"regularization.adaptive_gap": 0.1, "regularization.l2": 1e-4},
    ),
    "regularization.adaptive_limit": (
        10.0,
        {"regularization.adaptive_gap": 0.1, "regularization.l2": 1e-4},
    ),
    "transfer.base": ("^base/", {"transfer.frozen": 0.3}),
    "transfer.rate": (0.5, {"transfer.frozen": "2 epochs"}),
    "transfer.batch_norm": ("trained", {"transfer.frozen": 0.3}),
    "loss.from_logits": ("on", {"loss.name": "focal"}),
    "loss.delta": (2.0, {"loss.name": "kind=focal, size=huber"}),
    "loss.asymmetry": (4.0, {"loss.name": "asymmetric_mse"}),
    "loss.focus": (3.0, {"loss.name": "focal"}),
    "loss.balance": (0.75, {"loss.name": "focal"}),
    "augmentation.rand_strength": (0.2, {"augmentation.rand_ops": 2}),
    "augmentation.augmix_strength": (0.2, {"augmentation.augmix": 3}),
    "augmentation.erase_area": (0.2, {"augmentation.erase": 0.5}),
    "augmentation.place": ("device", {"augmentation.mixup": 0.2}),
    "monitoring.histograms": (True, {"monitoring.layers_every": 1}),
    "guard.window": (50, {"guard.spike": 20.0}),
    "guard.lower_after": (2, {"guard.spike": 20.0}),
    "guard.rate_factor": (0.25, {"guard.lower_after": 2}),
    "guard.retries": (9, {"guard.spike": 20.0}),
    "data.memory_budget": ("64MiB", {"data.cache": "hybrid"}),
    "data.prefetch": (3, {"data.cache": "disk"}),
    "data.threads": (2, {"data.prefetch": 4}),
}
# Another choice than each of these makes the key count for nothing.
NOTHING = {"optimizer.name": "adafactor"}
# These count by default.
OF_DATA = {
    "data.memory_budget": {"data.cache": "device"},
    "data.prefetch": {"data.cache": "device"},
    "data.threads": {"data.prefetch": 0},
    **{
        f"guard.{key}": {"guard.non_finite": False}
        for key in ("window", "lower_after", "rate_factor", "retries")
    },
}


def test_every_key_of_the_table_has_an_example_and_stands_there_once():
    keys = [use.key for use in USES]
    assert sorted(keys) == sorted(set(keys))
    assert set(keys) == set(EXAMPLES)
    for use in USES:
        assert {use.key, *use.by} <= set(all_keys())
        assert use.default == Plan().flat()[use.key]
        later = keys[keys.index(use.key) + 1 :]
        assert not set(use.by) & set(later), "a key stands after those that decide over it"


@pytest.mark.parametrize("key", EXAMPLES)
def test_a_key_that_counts_for_nothing_is_refused_by_name_and_one_that_counts_is_taken(key):
    value, beside = EXAMPLES[key]
    use = use_of(key)
    with pytest.raises(PlanError) as caught:
        Plan().edit({**NOTHING, **OF_DATA.get(key, {}), key: value})
    message = str(caught.value)
    assert f"{key} has no effect without" in message
    assert any(other in message for other in use.by)
    assert "its default" in message
    assert Plan().edit({**beside, key: value}).flat()[key] == value


@pytest.mark.parametrize("key", EXAMPLES)
def test_to_adapt_resets_what_loses_its_use_and_nothing_that_is_named(key):
    value, beside = EXAMPLES[key]
    plan = Plan().edit({**beside, key: value})
    nothing = {**NOTHING, **OF_DATA.get(key, {})}
    back = {**{name: Plan().flat()[name] for name in beside}, **nothing}
    with pytest.raises(PlanError, match="has no effect without"):
        plan.edit(back)
    assert plan.adapt(back).difference(Plan().edit(nothing)) == {}
    with pytest.raises(PlanError, match="has no effect without"):
        plan.adapt({**back, key: value})


def test_what_a_reset_key_carried_is_reset_too():
    nesterov = Plan().edit(
        {"optimizer.name": "sgd", "optimizer.momentum": 0.9, "optimizer.nesterov": True}
    )
    assert nesterov.adapt({"optimizer.name": "adam"}) == Plan()
    assert nesterov.adapt({"optimizer.momentum": 0.0}) == Plan().edit({"optimizer.name": "sgd"})


def test_a_value_that_says_no_more_than_holds_anyhow_is_no_contradiction():
    assert Plan().edit({"optimizer.norm_batches": 0}).optimizer.norm_batches == 0
    lowered = Plan().edit({"runtime.backend": "jax", "runtime.lowering": False})
    assert not lowered.runtime.lowering


@given(plans(), plans(), st.data())
@settings(max_examples=60, deadline=None)
def test_an_adapted_plan_says_what_was_asked_and_otherwise_the_same_or_the_default(
    plan, other, data
):
    differing = sorted(plan.difference(other))
    asked = data.draw(st.sets(st.sampled_from(differing))) if differing else set()
    changes = {key: other.flat()[key] for key in asked}
    try:
        made = plan.adapt(changes)
    except PlanError:
        return
    mine, before, defaults = made.flat(), plan.flat(), Plan().flat()
    for key in all_keys():
        allowed = (changes[key],) if key in changes else (before[key], defaults[key])
        assert mine[key] in allowed, key


def test_a_file_of_an_older_version_is_refused_with_the_lines_and_settled_on_request():
    text = to_toml(Plan().edit({"optimizer.name": "rmsprop", "optimizer.rho": 0.95}))
    older = text.replace('name = "rmsprop"', 'name = "adam"')
    lines = [n for n, line in enumerate(older.splitlines(), 1) if line.startswith("rho = ")]
    name = [n for n, line in enumerate(older.splitlines(), 1) if line.startswith('name = "adam"')]
    with pytest.raises(PlanError) as caught:
        from_toml(older, "old.toml")
    message = str(caught.value)
    assert f"in old.toml, lines {name[0]} and {lines[0]}" in message
    assert "optimizer.rho has no effect without optimizer.name = 'rmsprop' or 'adadelta'" in message
    assert "Set optimizer.rho = 0.9, its default" in message
    assert settled({"optimizer": {"name": "adam", "rho": 0.95}}) == Plan()
