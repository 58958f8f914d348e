"""The section of losses: words, outputs by name, and what each name stands for."""

import pytest

from slipstream.errors import PlanError
from slipstream.plan import Plan, from_toml, to_toml
from slipstream.plan.losses import (
    LOSS_NAMES,
    OF_NUMBERS,
    JudgedOutput,
    Loss,
    choose_losses,
    weights_of,
)

SPARSE = JudgedOutput("kind", "SparseCategoricalCrossentropy", True)
NUMBER = JudgedOutput("size", "MeanSquaredError", None, "linear")


def test_outputs_by_name_come_back_from_toml():
    changes = {
        "loss.name": "kind=focal, size=huber",
        "loss.weights": "kind=1, size=0.1",
        "loss.class_weights": "0=1, 12=0.5",
    }
    plan = Plan().edit(changes)
    assert from_toml(to_toml(plan)) == plan
    assert plan.loss.names() == {"kind": "focal", "size": "huber"}
    assert plan.loss.fixed_weights() == {"kind": 1.0, "size": 0.1}
    assert plan.loss.weights_of_classes() == {0: 1.0, 12: 0.5}


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("loss.name", "hubert", "Did you mean 'huber'"),
        ("loss.name", "kind=focl", "Did you mean 'focal'"),
        ("loss.name", "kind=focal, huber", "pairs"),
        ("loss.name", "kind=focal, kind=mse", "pairs"),
        ("loss.weights", "kind=much", "numbers from 0"),
        ("loss.weights", "kind=-1", "numbers from 0"),
        ("loss.weights", "lerned", "pairs"),
        ("loss.class_weights", "balance", "pairs"),
        ("loss.class_weights", "first=1", "numbers from 0 by class"),
        ("loss.class_weights", "0=-1", "numbers from 0 by class"),
        ("loss.focus", 0.5, "loss.focus"),
        ("loss.delta", 0.0, "loss.delta"),
    ],
)
def test_misspelt_words_are_refused(key, value, says):
    with pytest.raises(PlanError, match=says):
        Plan().edit({key: value})


@pytest.mark.parametrize("name", LOSS_NAMES[1:])
@pytest.mark.parametrize(
    ("task", "logits"),
    [
        ("SparseCategoricalCrossentropy", True),
        ("CategoricalCrossentropy", False),
        ("BinaryCrossentropy", True),
    ],
)
def test_logits_are_what_the_tasks_own_loss_says_unless_the_plan_does(name, task, logits):
    output = JudgedOutput("kind", task, logits, "unknown")
    found = choose_losses(Loss(name=name), [output])["kind"].config.get("from_logits")
    assert found == (None if name in OF_NUMBERS else logits)
    told = choose_losses(Loss(name=name, from_logits="on"), [output])["kind"]
    assert told.config.get("from_logits", True) is True


def test_the_form_of_focal_follows_the_targets():
    forms = {
        "SparseCategoricalCrossentropy": "slipstream>SparseFocalCrossentropy",
        "CategoricalCrossentropy": "CategoricalFocalCrossentropy",
        "BinaryCrossentropy": "BinaryFocalCrossentropy",
    }
    for task, form in forms.items():
        output = JudgedOutput("kind", task, True)
        assert choose_losses(Loss(name="focal"), [output])["kind"].class_name == form
    with pytest.raises(PlanError, match="form of the targets"):
        choose_losses(Loss(name="focal"), [NUMBER])


def test_a_name_alone_goes_to_the_outputs_that_it_is_for():
    both = [SPARSE, NUMBER]
    assert list(choose_losses(Loss(name="focal"), both)) == ["kind"]
    assert list(choose_losses(Loss(name="huber"), both)) == ["size"]
    assert list(choose_losses(Loss(name="huber"), [SPARSE])) == ["kind"]
    with pytest.raises(PlanError, match=r"an output that loss\.name = 'mae' is for"):
        choose_losses(Loss(name="mae"), [SPARSE, SPARSE._replace(name="other")])


@pytest.mark.parametrize(
    ("loss", "outputs", "says"),
    [
        (Loss(name="knd=focal"), [SPARSE], "Did you mean 'kind'"),
        (Loss(name="focal", balance=0.3), [SPARSE], "loss.balance = 0"),
        (Loss(name="kind=mse"), [SPARSE._replace(loss="none")], "which has none"),
        (
            Loss(name="binary_crossentropy"),
            [NUMBER._replace(activation="unknown")],
            "loss.from_logits = 'on' or 'off'",
        ),
    ],
)
def test_what_an_output_has_no_place_for_is_refused(loss, outputs, says):
    with pytest.raises(PlanError, match=says):
        choose_losses(loss, outputs)


def test_weights_are_for_several_outputs_and_1_where_none_is_written():
    assert weights_of(Loss(weights="size=0.1"), ["kind", "size"]) == {"kind": 1.0, "size": 0.1}
    assert weights_of(Loss(), ["kind"]) == {}
    for weights in ("learned", "kind=2"):
        with pytest.raises(PlanError, match="one output"):
            weights_of(Loss(weights=weights), ["kind"])
    with pytest.raises(PlanError, match="Did you mean 'size'"):
        weights_of(Loss(weights="siz=2"), ["kind", "size"])
