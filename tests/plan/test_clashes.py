"""Every contradiction of a plan is refused, and the message names the keys."""

import re
from itertools import combinations

import pytest
from hypothesis import given, settings

from slipstream.errors import PlanError
from slipstream.plan import Plan, all_keys
from slipstream.plan.augmentation import SWITCHES
from slipstream.plan.clashes import BOUNDS, CLASHES
from slipstream.plan.uses import UNUSED, find_clash
from strategies import plans

# A value that switches a kind of augmentation on, by its type.
ON = {bool: True, int: 1, float: 0.5}
KERAS = {"runtime.loop": "keras"}
SCHEDULE_FREE = {"optimizer.name": "schedule_free_adamw"}
ONE_CYCLE = {"schedule.name": "one_cycle", "schedule.warmup": 0.3}
GRAPH = {"precision.policy": "graph_bfloat16", "runtime.jit": "off"}

# For each contradiction, in the order of CLASHES, the plans that bring it about.
CASES = [
    [{"schedule.name": "one_cycle"}],
    [
        ONE_CYCLE | {"schedule.momentum_low": 0.95},
        ONE_CYCLE | {"schedule.momentum_low": 0.5, "optimizer.name": "lion"},
        ONE_CYCLE | {"schedule.momentum_low": 0.5, "optimizer.name": "sgd"},
    ],
    [KERAS | {"schedule.plateau_patience": 2}],
    [SCHEDULE_FREE | {"schedule.plateau_patience": 2}],
    *(
        [{f"clipping.{one}": 0.5, f"clipping.{other}": 0.5}]
        for one, other in combinations(BOUNDS, 2)
    ),
    [SCHEDULE_FREE | {"schedule.name": "cosine"}],
    [SCHEDULE_FREE | {"optimizer.ema": 0.9}],
    [SCHEDULE_FREE | {"optimizer.swa": 0.5}],
    [{"optimizer.ema": 0.9, "optimizer.swa": 0.5}],
    [SCHEDULE_FREE | {"optimizer.lookahead": 5}],
    [KERAS | {"optimizer.sam": 0.05}],
    [KERAS | {"optimizer.swa": 0.5}],
    [
        GRAPH | {"runtime.backend": "torch"},
        {"precision.policy": "graph_bfloat16", "runtime.backend": "jax"},
    ],
    [GRAPH | {"runtime.jit": "auto"}, GRAPH | {"runtime.jit": "on"}],
    [{"runtime.backend": "jax", "runtime.jit": "off"}],
    [{"runtime.backend": "torch", "runtime.jit": "on"}],
    [{"runtime.eager": True, "runtime.jit": "on"}],
    [{"runtime.eager": True} | GRAPH],
    [{"runtime.eager": True, "runtime.steps_per_execution": 4}],
    [
        {"data.cache": "device", "augmentation.rand_ops": 2},
        {"data.cache": "device", "augmentation.augmix": 3},
    ],
    [{"data.cache": "device", "augmentation.place": "host", "augmentation.shift": 1}],
    [
        {"augmentation.place": "device", "augmentation.rand_ops": 1},
        {"augmentation.place": "device", "augmentation.augmix": 1, "augmentation.mixup": 0.2},
    ],
    [KERAS | {"runtime.backend": "torch", "runtime.steps_per_execution": 2}],
    [KERAS | {"batch.accumulation": 2}],
    [KERAS | {"data.cache": "device"}],
    [KERAS | {"duration.evaluations_per_epoch": 2}],
    [KERAS | {f"augmentation.{key}": ON[type(off)]} for key, off in SWITCHES.items()],
    [KERAS | {"regularization.l2": 1e-4, "regularization.adaptive_gap": 0.1}],
    [{"architecture.freeze_batch_norm": True, "architecture.batch_norm_momentum": 0.9}],
    [{"architecture.freeze_batch_norm": True, "architecture.batch_norm": True}],
    [{"architecture.freeze_batch_norm": True, "architecture.zero_gamma": True}],
    [
        KERAS | {"transfer.frozen": 0.5},
        KERAS | {"transfer.frozen": "2 epochs", "transfer.rate": 0.5},
    ],
    [{"loss.name": "focal", "loss.balance": 0.7, "loss.class_weights": "0=1, 1=5"}],
    [
        {"loss.name": "huber", "regularization.label_smoothing": 0.1},
        {"loss.name": "mse", "regularization.label_smoothing": 0.1},
    ],
    *([KERAS | {f"monitoring.{key}": 2}] for key in ("layers_every", "wrong_images", "profile")),
    [
        KERAS | {"precision.policy": "mixed_float16", "precision.float32_layers": "auto"},
    ],
    [KERAS | {"batch.remainder": "drop"}],
]


def plain(text):
    """The words of a text: the error has its mend as a sentence of its own."""
    return re.findall(r"[\w.']+\w|\d", text.lower())


def holds(words, part):
    return any(words[i : i + len(part)] == part for i in range(len(words)))


def test_every_contradiction_has_a_case():
    assert len(CASES) == len(CLASHES)


@pytest.mark.parametrize(
    ("clash", "changes"),
    [(clash, case) for clash, cases in zip(CLASHES, CASES, strict=False) for case in cases],
)
def test_contradictions_are_refused_in_their_own_words(clash, changes):
    with pytest.raises(PlanError) as caught:
        Plan().edit(changes)
    assert holds(plain(str(caught.value)), plain(clash.sentence))


@pytest.mark.parametrize("clash", CLASHES + UNUSED, ids=lambda clash: " ".join(clash.keys))
def test_the_sentence_names_at_least_two_keys_and_only_its_own(clash):
    named = set(re.findall(r"[a-z]+\.[a-z_0-9]+", clash.sentence))
    assert len(named & set(clash.keys)) >= 2
    assert named <= set(all_keys())
    assert set(clash.keys) <= set(all_keys())


@given(plans(), plans())
@settings(max_examples=60, deadline=None)
def test_whether_a_contradiction_holds_depends_on_its_keys_alone(one, other):
    # The other's values everywhere but in the keys that take part.
    for clash in CLASHES + UNUSED:
        mixed = other.to_dict()
        for dotted in clash.keys:
            section, _, key = dotted.partition(".")
            mixed[section][key] = one.flat()[dotted]
        sections = {
            name: type(getattr(one, name)).model_construct(**values)
            for name, values in mixed.items()
        }
        assert not clash.holds(Plan.model_construct(**sections))


@given(plans())
@settings(max_examples=30, deadline=None)
def test_valid_plans_have_no_contradiction(plan):
    assert find_clash(plan) is None
