"""What holds for every technique: one table, all techniques."""

import importlib
import pkgutil
import re
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import slipstream.techniques
from slipstream.errors import InputError, PlanError
from slipstream.plan import Plan, all_keys
from slipstream.task import AS_GIVEN
from slipstream.techniques import Choice, all_techniques, apply_all, found_in, get
from slipstream.techniques._registry import clash_between, in_order
from strategies import facts, plans

ALL = all_techniques()
NAMES = [technique.name for technique in ALL]
SETS = {technique.one_of for technique in ALL} - {""}
LISTED = [
    "sgd_momentum",
    "nesterov",
    "adam",
    "adamw",
    "rmsprop",
    "adagrad",
    "nadam",
    "adadelta",
    "adafactor",
    "lion",
    "lamb",
    "lars",
    "sam",
    "lookahead",
    "swa",
    "norm_batches",
    "layer_decay",
    "slow_layers",
    "muon",
    "schedule_free_adamw",
    "learning_rate",
    "warmup",
    "cosine",
    "linear_decay",
    "one_cycle",
    "exponential",
    "step_decay",
    "warm_restarts",
    "constant",
    "polynomial",
    "inverse_time",
    "piecewise_constant",
    "warmup_stable_decay",
    "momentum_cycling",
    "reduce_on_plateau",
    "clipping",
    "clip_by_value",
    "clip_by_norm",
    "adaptive_clipping",
    "quantile_clipping",
    "focal_loss",
    "huber_loss",
    "asymmetric_loss",
    "named_loss",
    "task_loss",
    "learned_loss_weights",
    "class_weights",
    "eager",
    "base_model",
    "batch_norm",
    "batch_norm_momentum",
    "depth",
    "frozen_batch_norm",
    "initialization",
    "residual",
    "separable",
    "transfer",
    "width",
    "zero_gamma",
    "batch_size",
    "accumulation",
    "drop_remainder",
    "mixed_precision",
    "mixed_float16",
    "graph_bfloat16",
    "float32",
    "float32_layers",
    "tensor_float32",
    "linear_rate_scaling",
    "sqrt_rate_scaling",
    "l1",
    "l2",
    "adaptive_l2",
    "spatial_dropout",
    "drop_connect",
    "stochastic_depth",
    "weight_decay",
    "dropout",
    "label_smoothing",
    "early_stopping",
    "ema",
    "steps_per_execution",
    "jit",
    "backend",
    "device_cache",
    "host_cache",
    "disk_cache",
    "hybrid_cache",
    "no_cache",
    "prefetch",
    "decoding_threads",
    "own_loop",
    "native_kernels",
    "more_frequent_validation",
    "shift",
    "flip",
    "flip_vertical",
    "resized_crop",
    "rand_augment",
    "augmix",
    "random_erasing",
    "mixup",
    "cutmix",
    "augmentation_in_step",
]


def each(function):
    return pytest.mark.parametrize("technique", ALL, ids=NAMES)(function)


def test_the_registry_lists_what_the_documentation_promises():
    assert sorted(LISTED) == NAMES


def test_every_public_file_but_the_tools_is_a_technique_of_its_own_name():
    for module in pkgutil.iter_modules(slipstream.techniques.__path__):
        if not module.name.startswith("_") and module.name not in ("explain", "page"):
            loaded = importlib.import_module(f"slipstream.techniques.{module.name}")
            assert module.name == loaded.TECHNIQUE.name


@each
def test_words_are_there_and_are_sentences(technique):
    assert technique.title
    for text in (technique.summary, technique.helps, technique.hurts):
        assert text[0].isupper() or text.startswith("bfloat")
        assert text.endswith(".")
    dated = re.search(r"\b(19|20)\d\d\b", technique.reference)
    assert dated or "documentation" in technique.reference


@each
def test_keys_are_keys_of_plans_and_names_are_names(technique):
    known = set(all_keys())
    assert technique.keys
    assert set(technique.moved) <= known
    assert set(technique.search) <= set(technique.moved)
    assert set(technique.after) <= set(NAMES) | SETS
    assert set(technique.clashes) <= set(NAMES)
    assert technique.name not in technique.after + technique.clashes


@each
def test_tuning_may_try_both_ends_of_every_range(technique):
    for key, space in technique.search.items():
        values = space.values if isinstance(space, Choice) else (space.low, space.high)
        assert len(set(values)) == len(values) > 1
        section, _, name = key.partition(".")
        for value in values:
            # The section alone: what must go with a value is for apply to say.
            part = type(getattr(Plan(), section)).model_validate({name: value})
            assert getattr(part, name) == value


@each
@given(plan=plans(), kind=st.sampled_from(["classification", "regression"]), image=st.booleans())
@settings(max_examples=12, deadline=None)
def test_apply_edits_its_own_keys_or_says_why_not(technique, plan, kind, image):
    shape = (8, 8, 1) if image else (64,)
    task = facts(kind=kind, input_shapes={"x": shape}, num_train=100_000)
    reason = technique.applies(plan, task)
    if reason is not None:
        with pytest.raises(PlanError, match=re.escape(reason)):
            technique.apply(plan, task)
        return
    edited = technique.apply(plan, task)
    assert technique.apply(plan, task) == edited
    assert Plan.from_dict(edited.to_dict()) == edited
    # What loses its use by it goes back to its default.
    changed = set(edited.difference(plan)) - lost(plan, edited)
    companions = {
        "batch_size": {"schedule.peak"},
        "accumulation": {"schedule.peak"},
        "graph_bfloat16": {"runtime.jit"},
        "eager": {"runtime.jit", "runtime.steps_per_execution"},
        "backend": {"runtime.jit", "runtime.steps_per_execution", "precision.policy"},
        "schedule_free_adamw": {
            "schedule.name",
            "optimizer.ema",
            "optimizer.swa",
            "optimizer.lookahead",
            "schedule.plateau_patience",
        },
    }
    if technique.one_of in ("optimizer", "schedule"):
        # A cycle of the momentum ends with the optimizer or the schedule that it belonged to.
        companions.setdefault(technique.name, set()).add("schedule.momentum_low")
    assert changed <= set(technique.moved) | companions.get(technique.name, set())
    if changed & set(technique.moved) - {"schedule.peak"}:
        assert technique.is_in(edited, plan)


def lost(plan, edited):
    """The keys that are back at their defaults because the edited plan has no use for them."""
    keys = {key for key in edited.difference(plan) if edited.flat()[key] == Plan().flat()[key]}
    return {key for key in keys if has_no_use(edited, {key: plan.flat()[key]})}


def has_no_use(plan, changes):
    try:
        plan.edit(changes)
    except PlanError as error:
        return f"{next(iter(changes))} has no effect without" in str(error)
    return False


ONE_CYCLE = {"schedule.name": "one_cycle", "schedule.warmup": 0.3}
REFUSALS = [
    ("focal_loss", {}, {"kind": "regression"}, "no classes"),
    ("huber_loss", {}, {}, "no numbers"),
    ("asymmetric_loss", {"regularization.label_smoothing": 0.1}, {"kind": "regression"}, "cross"),
    ("named_loss", {}, {}, "loss.name"),
    ("learned_loss_weights", {}, {}, "one output"),
    ("class_weights", {}, {"kind": "regression"}, "no classes"),
    ("class_weights", {}, {"output_shapes": {"a": (3,), "b": (1,)}}, "several outputs"),
    ("class_weights", {}, {"output_shapes": {"mask": (8, 8, 10)}}, "more than one label"),
    ("class_weights", {"loss.name": "focal", "loss.balance": 0.7}, {}, "loss.balance"),
    ("label_smoothing", {"loss.name": "huber"}, {}, "loss.name"),
    ("label_smoothing", {}, {"kind": "regression"}, "no classes"),
    ("shift", {}, {"input_shapes": {"x": (64,)}}, "image"),
    ("flip", {}, {"input_shapes": {"x": (64,)}}, "image"),
    ("flip", {"runtime.loop": "keras"}, {}, "runtime.loop"),
    ("rand_augment", {"data.cache": "device"}, {}, "data.cache"),
    ("augmix", {"augmentation.shift": 1, "augmentation.place": "device"}, {}, "augmentation.place"),
    ("resized_crop", {}, {"input_shapes": {"a": (8, 8, 1), "b": (4, 4, 1)}}, "several sizes"),
    ("random_erasing", {}, {"input_shapes": {"a": (None, None, 3)}}, "several sizes"),
    ("mixup", {}, {"output_shapes": {"a": (3,), "b": (1,)}}, "several outputs"),
    ("mixup", {}, {"kind": "other"}, "no labels"),
    ("float32_layers", {}, {}, "precision.policy"),
    (
        "float32_layers",
        {"precision.policy": "mixed_float16", "runtime.loop": "keras"},
        *({}, "runtime.loop"),
    ),
    ("sqrt_rate_scaling", {"batch.rate_scaling": "linear"}, {}, "batch.rate_scaling"),
    ("mixup", {}, {"input_shapes": {"image": (5,)}, "input_dtypes": {"image": "int64"}}, "neither"),
    ("mixup", {"runtime.loop": "keras"}, {}, "runtime.loop"),
    ("cutmix", {}, {"kind": "regression"}, "no classes"),
    ("cutmix", {"loss.name": "huber"}, {}, "loss.name"),
    ("cutmix", {}, {"output_shapes": {"mask": (8, 8, 10)}}, "more than one label"),
    ("cutmix", {}, {"input_shapes": {"image": (8, 8, 1), "age": (1,)}}, "not all inputs"),
    ("augmentation_in_step", {}, {}, "nothing switched on"),
    ("augmentation_in_step", {"augmentation.augmix": 3}, {}, "run on the host"),
    ("device_cache", {"augmentation.rand_ops": 2}, {}, "augmentation"),
    (
        "device_cache",
        {"augmentation.shift": 2, "augmentation.place": "host"},
        {},
        "augmentation.place",
    ),
    ("device_cache", {"runtime.loop": "keras"}, {}, "runtime.loop"),
    ("hybrid_cache", {}, {}, "in memory as arrays"),
    ("host_cache", {}, {}, "in memory as arrays"),
    ("decoding_threads", {"data.prefetch": 0}, {"streamed": True}, "data.prefetch = 0"),
    ("prefetch", {"runtime.loop": "keras"}, {}, "runtime.loop"),
    ("prefetch", {"data.cache": "device"}, {"streamed": True}, "data.cache"),
    ("accumulation", {"runtime.loop": "keras"}, {}, "runtime.loop"),
    ("accumulation", {}, {"num_train": 100}, "128 examples and there are 100"),
    ("drop_remainder", {}, {"num_train": 320}, "without a rest"),
    ("drop_remainder", {}, {"num_train": 20}, "the only batch"),
    ("drop_remainder", {"runtime.loop": "keras"}, {}, "runtime.loop"),
    ("graph_bfloat16", {"runtime.backend": "jax"}, {}, "jax"),
    ("jit", {"runtime.backend": "torch"}, {}, "torch"),
    ("jit", {"precision.policy": "graph_bfloat16", "runtime.jit": "off"}, {}, "graph_bfloat16"),
    ("steps_per_execution", {"runtime.backend": "torch", "runtime.loop": "keras"}, {}, "one step"),
    *(
        (name, {"runtime.eager": True, "runtime.backend": backend}, {}, "runtime.eager")
        for name, backend in (
            *(("jit", "jax"), ("steps_per_execution", "jax")),
            *(("graph_bfloat16", "tensorflow"), ("native_kernels", "torch")),
        )
    ),
    ("native_kernels", {"runtime.backend": "jax"}, {}, "compiles the step as a whole"),
    ("native_kernels", {"runtime.backend": "torch", "runtime.loop": "keras"}, {}, "runtime.loop"),
    ("more_frequent_validation", {"runtime.loop": "keras"}, {}, "once an epoch"),
    ("more_frequent_validation", {}, {"num_validation": 0}, "no validation"),
    ("early_stopping", {}, {"num_validation": 0}, "no validation"),
    ("adaptive_l2", {}, {}, "no penalty"),
    ("adaptive_l2", {"regularization.l2": 1e-4}, {"num_validation": 0}, "no validation"),
    ("adaptive_l2", {"regularization.l2": 1e-4, "runtime.loop": "keras"}, {}, "runtime.loop"),
    ("spatial_dropout", {}, {}, "no convolution"),
    ("drop_connect", {}, {"layers": {"LSTM": 1}}, "neither dense nor"),
    ("stochastic_depth", {}, {}, "no residual branches"),
    ("cosine", {"optimizer.name": "schedule_free_adamw"}, {}, "schedule_free_adamw"),
    ("polynomial", {"optimizer.name": "schedule_free_adamw"}, {}, "schedule_free_adamw"),
    ("momentum_cycling", {}, {}, "not 'one_cycle'"),
    ("momentum_cycling", ONE_CYCLE | {"optimizer.name": "lion"}, {}, "no momentum above 0.85"),
    ("momentum_cycling", ONE_CYCLE | {"optimizer.beta_1": 0.8}, {}, "no momentum above 0.85"),
    ("reduce_on_plateau", {}, {"num_validation": 0}, "no validation"),
    ("reduce_on_plateau", {"runtime.loop": "keras"}, {}, "runtime.loop"),
    ("reduce_on_plateau", {"optimizer.name": "schedule_free_adamw"}, {}, "schedule_free_adamw"),
    ("one_cycle", {"optimizer.name": "schedule_free_adamw"}, {}, "schedule_free_adamw"),
    ("ema", {"optimizer.name": "schedule_free_adamw"}, {}, "averages the weights itself"),
    ("ema", {"optimizer.swa": 0.5}, {}, "averages the weights already"),
    ("swa", {"optimizer.name": "schedule_free_adamw"}, {}, "averages the weights itself"),
    ("swa", {"optimizer.ema": 0.9}, {}, "averages the weights already"),
    ("swa", {"runtime.loop": "keras"}, {}, "runtime.loop"),
    ("lookahead", {"optimizer.name": "schedule_free_adamw"}, {}, "schedule_free_adamw"),
    ("sam", {"runtime.loop": "keras"}, {}, "one gradient"),
    ("slow_layers", {}, {}, "names no variables"),
    ("norm_batches", {}, {}, "no weights are averaged"),
    ("norm_batches", {"optimizer.swa": 0.5}, {}, "no BatchNormalization"),
    ("warmup", {"schedule.name": "one_cycle", "schedule.warmup": 0.3}, {}, "rise of its own"),
    ("batch_size", {"batch.size": 128}, {"num_train": 1000}, "fewer than 8"),
]


@pytest.mark.parametrize(("name", "changes", "of_task", "says"), REFUSALS)
def test_where_a_technique_does_not_apply_it_says_why(name, changes, of_task, says):
    reason = get(name).applies(Plan().edit(changes), facts(**of_task))
    assert reason is not None
    assert says in reason


@pytest.mark.parametrize(
    ("optimizer", "factor"), [("sgd", 4.0), ("adam", 2.0), ("lion", 2.0), ("rmsprop", 2.0)]
)
@pytest.mark.parametrize("name", ["batch_size", "accumulation"])
def test_four_times_the_batch_scales_the_rate_by_four_for_sgd_and_by_two_otherwise(
    name, optimizer, factor
):
    plan = Plan().edit({"optimizer.name": optimizer, "schedule.peak": 0.01})
    edited = get(name).apply(plan, facts(num_train=10_000))
    assert edited.batch.size * edited.batch.accumulation == 128
    assert edited.schedule.peak == pytest.approx(0.01 * factor)


def test_a_larger_batch_leaves_eight_updates_an_epoch():
    assert get("batch_size").apply(Plan(), facts(num_train=1000)).batch.size == 64


def test_the_backend_follows_what_the_net_is_made_of():
    keras = AS_GIVEN.edit(
        {
            "precision.policy": "graph_bfloat16",
            "runtime.jit": "off",
            "runtime.steps_per_execution": 8,
        }
    )
    dense = get("backend").apply(keras, facts(layers={"Dense": 3}))
    assert (dense.runtime.backend, dense.precision.policy) == ("jax", "mixed_bfloat16")
    for layer in ("Conv2D", "LSTM", "GRU", "MultiHeadAttention", "SeparableConv1D"):
        heavy = get("backend").apply(keras, facts(layers={"Dense": 3, layer: 1}))
        assert (heavy.runtime.backend, heavy.runtime.steps_per_execution) == ("torch", 1)


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"'warm-upp'.*Did you mean 'warmup'"):
        get("warm-upp")
    with pytest.raises(InputError, match=r"'lsuv'.*Did you mean 'initialization'"):
        get("lsuv")
    assert get("Warm-up").name == "warmup"


def test_combinations_that_clash_are_refused_with_both_names():
    for one, other in combinations(ALL, 2):
        if clash_between(one, other):
            with pytest.raises(PlanError, match=f"both '{one.name}' and '{other.name}'"):
                apply_all([one.name, other.name], Plan(), facts())
            with pytest.raises(PlanError, match=f"both '{other.name}' and '{one.name}'"):
                apply_all([other.name, one.name], Plan(), facts())


def test_alternatives_clash_and_others_do_not():
    assert clash_between(get("adam"), get("lion"))
    assert clash_between(get("warmup"), get("one_cycle"))
    assert clash_between(get("one_cycle"), get("warmup"))
    assert not clash_between(get("warmup"), get("cosine"))
    assert not clash_between(get("clipping"), get("l2"))


@given(st.permutations(NAMES))
@settings(max_examples=25, deadline=None)
def test_every_technique_comes_after_those_it_declares(names):
    chosen = []
    for name in names:
        if not any(clash_between(get(name), technique) for technique in chosen):
            chosen.append(get(name))
    ordered = in_order(chosen)
    assert sorted(t.name for t in ordered) == sorted(t.name for t in chosen)
    for index, technique in enumerate(ordered):
        later = ordered[index + 1 :]
        assert not {t.name for t in later} & set(technique.after)
        assert not {t.one_of for t in later} & set(technique.after)


def test_the_order_of_names_does_not_matter():
    names = ["batch_size", "learning_rate", "warmup", "cosine", "nesterov", "clipping"]
    forwards = apply_all(names, Plan(), facts(num_train=10_000))
    assert forwards == apply_all(reversed(names), Plan(), facts(num_train=10_000))
    assert forwards.schedule.peak == pytest.approx(0.05 * 4)


def test_the_optimizer_owns_the_rate_unless_only_the_rate_differs():
    rate = Plan().edit({"schedule.peak": 0.01})
    assert [t.name for t in found_in(rate, Plan())] == ["learning_rate"]
    both = rate.edit({"optimizer.name": "rmsprop"})
    assert [t.name for t in found_in(both, Plan())] == ["rmsprop"]
    constants = rate.edit({"optimizer.beta_2": 0.95})
    assert [t.name for t in found_in(constants, Plan())] == ["adam"]


def test_a_new_optimizer_or_schedule_ends_the_cycle_of_the_momentum():
    plan = Plan().edit(ONE_CYCLE | {"schedule.momentum_low": 0.8})
    for name in ("rmsprop", "lion", "sgd_momentum", "cosine", "constant", "schedule_free_adamw"):
        assert get(name).apply(plan, facts()).schedule.momentum_low == 0
    assert get("one_cycle").apply(plan, facts()).schedule.momentum_low == 0.8


def test_of_several_bounds_the_plans_own_is_found():
    value = Plan().edit({"clipping.value": 0.5})
    quantile = Plan().edit({"clipping.quantile": 0.9})
    assert [t.name for t in found_in(value, quantile)] == ["clip_by_value"]
    assert [t.name for t in found_in(quantile, value)] == ["quantile_clipping"]
    assert [t.name for t in found_in(Plan(), value)] == ["clip_by_value"]
    window = quantile.edit({"clipping.window": 7})
    assert [t.name for t in found_in(window, quantile)] == ["quantile_clipping"]
    assert get("clipping").apply(value, facts()).clipping.value == 0


def test_one_cycle_owns_its_rise():
    plan = Plan().edit({"schedule.name": "one_cycle", "schedule.warmup": 0.3})
    assert [t.name for t in found_in(plan, Plan())] == ["one_cycle"]
    longer = plan.edit({"schedule.warmup": 0.4})
    assert [t.name for t in found_in(longer, plan)] == ["one_cycle"]
    assert [t.name for t in found_in(Plan(), plan)] == ["constant", "warmup"]
