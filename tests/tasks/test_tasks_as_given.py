"""From a compiled model's settings to a plan: what is translated, and what is said of the rest."""

import math

import pytest

from slipstream.errors import PlanError, TaskError
from slipstream.ops.schedules import learning_rates
from slipstream.tasks._as_given import Compiled, plan_as_given


def translate(class_name="Adam", backend="jax", settings=None, excludes=False, **config):
    config = {"learning_rate": 0.01, **config}
    compiled = Compiled(
        {"class_name": class_name, "config": config},
        settings or {},
        backend,
        excludes_from_decay=excludes,
    )
    # 10 updates in each of 10 epochs.
    return plan_as_given(compiled, num_examples=96, batch_size=10, epochs=10)


def schedule(class_name, **config):
    plan, notes = translate(learning_rate={"class_name": class_name, "config": config})
    return learning_rates(plan.schedule, 100), notes


@pytest.mark.parametrize(
    ("class_name", "config", "expected"),
    [
        ("SGD", {}, {"optimizer.name": "sgd", "optimizer.momentum": 0.0}),
        (
            "SGD",
            {"momentum": 0.9, "nesterov": True},
            {"optimizer.momentum": 0.9, "optimizer.nesterov": True},
        ),
        # Keras takes nesterov without momentum for plain SGD.
        ("SGD", {"momentum": 0.0, "nesterov": True}, {"optimizer.nesterov": False}),
        ("Adam", {"beta_1": 0.8, "epsilon": 1e-5}, {"optimizer.beta_1": 0.8}),
        ("RMSprop", {"rho": 0.8, "momentum": 0.5}, {"optimizer.rho": 0.8}),
        ("Adagrad", {"initial_accumulator_value": 0.1}, {"optimizer.name": "adagrad"}),
        ("Lion", {"beta_2": 0.99}, {"optimizer.name": "lion", "optimizer.beta_2": 0.99}),
        (
            "AdamW",
            {"weight_decay": 0.004},
            {"optimizer.weight_decay": 0.004, "optimizer.decay_norm_and_bias": True},
        ),
        ("Adam", {"global_clipnorm": 2.0}, {"clipping.global_norm": 2.0}),
        ("Adam", {"clipnorm": 1.0}, {"clipping.norm": 1.0}),
        ("Adam", {"clipvalue": 0.5}, {"clipping.value": 0.5}),
        ("Adam", {"use_ema": True, "ema_momentum": 0.95}, {"optimizer.ema": 0.95}),
        ("Adam", {"use_ema": False, "ema_momentum": 0.95}, {"optimizer.ema": 0.0}),
        ("Nadam", {"beta_1": 0.8}, {"optimizer.name": "nadam", "optimizer.beta_1": 0.8}),
        (
            "Adafactor",
            {"beta_2_decay": -0.8, "relative_step": True},
            {"optimizer.name": "adafactor"},
        ),
        (
            "ScheduleFreeAdamW",
            {"warmup_steps": 5},
            {"optimizer.name": "schedule_free_adamw", "schedule.warmup": 0.05},
        ),
    ],
)
def test_what_plans_have_is_translated_without_a_note(class_name, config, expected):
    plan, notes = translate(class_name, **config)
    assert notes == ()
    assert expected.items() <= plan.flat().items()
    assert (plan.schedule.peak, plan.batch.size, plan.duration.epochs) == (0.01, 10, 10)
    assert plan.runtime.loop == "keras"


@pytest.mark.parametrize(
    ("class_name", "config", "said"),
    [
        ("Adam", {"amsgrad": True}, "amsgrad=True"),
        ("RMSprop", {"centered": True}, "centered=True"),
        ("Adagrad", {"initial_accumulator_value": 0.5}, "initial_accumulator_value=0.5"),
        ("Adam", {"a_new_setting": 3}, "a_new_setting=3"),
        ("Adamax", {}, "nearest relative, Adam"),
        ("Adam", {"gradient_accumulation_steps": 4}, "Slipstream's loop"),
        ("Muon", {"momentum": 0.95, "nesterov": True}, "output layers"),
    ],
)
def test_what_plans_cannot_say_is_noted_once(class_name, config, said):
    _, notes = translate(class_name, **config)
    assert len(notes) == 1 and said in notes[0]


def test_what_was_not_asked_for_is_not_noted():
    _, notes = translate(clipnorm=None, amsgrad=False, loss_scale_factor=None, name="adam_7")
    assert notes == ()


def test_excluding_variables_from_decay_is_kept_as_far_as_plans_can():
    plan, notes = translate("AdamW", weight_decay=0.1, excludes=True)
    assert not plan.optimizer.decay_norm_and_bias and "excluded from weight decay" in notes[0]


@pytest.mark.parametrize("class_name", ["Ftrl", "MyOwn", "MultiOptimizer"])
def test_optimizers_that_plans_lack_are_refused(class_name):
    with pytest.raises(TaskError, match=f"got the optimizer {class_name}"):
        translate(class_name)


def test_a_rate_of_zero_is_refused_by_its_key():
    with pytest.raises(PlanError, match=r"schedule\.peak"):
        translate(learning_rate=0.0)


def test_the_rate_is_the_decimal_that_was_typed():
    assert translate(learning_rate=0.0010000000474974513)[0].schedule.peak == 0.001


def test_loss_scaling_is_unwrapped():
    inner = {"class_name": "SGD", "config": {"learning_rate": 0.5}}
    plan, notes = translate("LossScaleOptimizer", inner_optimizer=inner)
    assert (plan.optimizer.name, plan.schedule.peak) == ("sgd", 0.5)
    assert "loss scale" in notes[0]


# The expected curves are the formulas of Keras' documentation, written out.


def test_a_cosine_over_the_run():
    rates, notes = schedule(
        "CosineDecay", initial_learning_rate=0.1, decay_steps=100, alpha=0.2, warmup_steps=0
    )
    expected = [0.1 * (0.8 * 0.5 * (1 + math.cos(math.pi * t / 100)) + 0.2) for t in range(100)]
    assert rates == pytest.approx(expected) and notes == ()


def test_a_cosine_with_warm_up():
    rates, notes = schedule(
        "CosineDecay",
        initial_learning_rate=0.0,
        decay_steps=90,
        alpha=0.0,
        warmup_target=0.3,
        warmup_steps=10,
    )
    expected = [0.15 * (1 + math.cos(math.pi * t / 90)) for t in range(90)]
    assert rates[10:] == pytest.approx(expected) and notes == ()
    # Keras begins with a useless update at 0; ours is one step of the climb ahead.
    assert rates[:10] == pytest.approx([0.03 * t for t in range(10)], abs=0.03)


def test_a_straight_line():
    rates, notes = schedule(
        "PolynomialDecay",
        initial_learning_rate=0.1,
        end_learning_rate=0.01,
        decay_steps=100,
        power=1.0,
        cycle=False,
    )
    assert rates == pytest.approx([0.1 - 0.09 * t / 100 for t in range(100)]) and notes == ()


def test_a_polynomial():
    rates, notes = schedule(
        "PolynomialDecay",
        initial_learning_rate=0.1,
        end_learning_rate=0.01,
        decay_steps=100,
        power=2.0,
        cycle=False,
    )
    expected = [0.01 + 0.09 * (1 - t / 100) ** 2 for t in range(100)]
    assert rates == pytest.approx(expected) and notes == ()


@pytest.mark.parametrize("staircase", [False, True])
def test_inverse_time_decay(staircase):
    rates, notes = schedule(
        "InverseTimeDecay",
        initial_learning_rate=0.1,
        decay_steps=30,
        decay_rate=0.5,
        staircase=staircase,
    )
    parts = [t // 30 if staircase else t / 30 for t in range(100)]
    assert rates == pytest.approx([0.1 / (1 + 0.5 * part) for part in parts]) and notes == ()


def test_pieces_begin_one_update_after_their_boundaries():
    rates, notes = schedule("PiecewiseConstantDecay", boundaries=[10, 50], values=[0.2, 0.1, 0.02])
    assert rates == pytest.approx([0.2] * 11 + [0.1] * 40 + [0.02] * 49) and notes == ()


@pytest.mark.parametrize("decay_steps", [20, 1000])
@pytest.mark.parametrize("staircase", [False, True])
def test_exponential_decay(decay_steps, staircase):
    rates, notes = schedule(
        "ExponentialDecay",
        initial_learning_rate=0.1,
        decay_steps=decay_steps,
        decay_rate=0.5,
        staircase=staircase,
    )
    parts = [t // decay_steps if staircase else t / decay_steps for t in range(100)]
    assert rates == pytest.approx([0.1 * 0.5**part for part in parts]) and notes == ()


def test_a_curve_of_another_length_spans_the_run_and_says_so():
    rates, notes = schedule(
        "CosineDecay", initial_learning_rate=0.1, decay_steps=50, alpha=0.0, warmup_steps=0
    )
    assert rates[50] == pytest.approx(0.05)
    assert "50 updates" in notes[0] and "100" in notes[0]


@pytest.mark.parametrize(
    ("class_name", "config"),
    [
        ("PiecewiseConstantDecay", {"boundaries": [10], "values": [0.2, 0.3]}),
        (
            "PolynomialDecay",
            {"initial_learning_rate": 0.2, "power": 2.0, "cycle": True, "decay_steps": 100},
        ),
        ("CosineDecayRestarts", {"initial_learning_rate": 0.2, "first_decay_steps": 10}),
    ],
)
def test_a_schedule_that_plans_lack_begins_where_it_begins_and_says_so(class_name, config):
    rates, notes = schedule(class_name, **config)
    assert set(rates) == {0.2} and class_name in notes[0] and "0.2" in notes[0]


def test_a_schedule_without_a_beginning_is_refused():
    with pytest.raises(TaskError, match="the schedule MySchedule"):
        schedule("MySchedule", warmth=3)


@pytest.mark.parametrize(
    ("backend", "jit", "expected", "num_notes"),
    [
        ("tensorflow", "auto", "auto", 0),
        ("tensorflow", True, "on", 0),
        ("tensorflow", False, "off", 0),
        ("jax", "auto", "auto", 0),
        ("jax", True, "auto", 0),
        ("jax", False, "auto", 1),
        ("torch", "auto", "auto", 0),
        ("torch", False, "auto", 0),
        ("torch", True, "auto", 1),
    ],
)
def test_compilation(backend, jit, expected, num_notes):
    plan, notes = translate(backend=backend, settings={"jit_compile": jit})
    assert (plan.runtime.backend, plan.runtime.jit) == (backend, expected)
    assert len(notes) == num_notes


def test_other_settings_of_compile():
    plan, notes = translate(settings={"steps_per_execution": 8, "run_eagerly": True})
    assert plan.runtime.steps_per_execution == 8 and "run_eagerly" in notes[0]
    compiled = Compiled(
        {"class_name": "Adam", "config": {"learning_rate": 0.1}},
        {},
        "jax",
        frozenset({"float32", "mixed_bfloat16"}),
    )
    plan, _ = plan_as_given(compiled, num_examples=10, batch_size=10, epochs=1)
    assert plan.precision.policy == "mixed_bfloat16"
