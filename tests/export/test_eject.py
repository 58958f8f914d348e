"""Ejected scripts as text: they compile, stand alone, and hold only what the plan uses."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from tests.strategies import plans

from slipstream.errors import PlanError, TaskError
from slipstream.export import eject
from slipstream.export._copied import copied_module
from slipstream.ops.schedules import learning_rates
from slipstream.plan import Plan
from slipstream.tasks import names

# What stands in a script only where its key differs from the plain plan.
ONLY_WITH = {
    "CosineDecay": {"schedule.name": "cosine"},
    "RateTable": {"schedule.name": "linear"},
    "warmup": {"schedule.name": "cosine", "schedule.warmup": 0.1},
    "weight_decay": {"optimizer.weight_decay": 0.1},
    "exclude_from_weight_decay": {"optimizer.weight_decay": 0.1},
    "global_clipnorm": {"clipping.global_norm": 1.0},
    "use_ema": {"optimizer.ema": 0.9},
    "AveragedWeights": {"optimizer.name": "schedule_free_adamw"},
    "exclude_layers": {"optimizer.name": "muon"},
    "class Adafactor": {"optimizer.name": "adafactor"},
    "class Lars": {"optimizer.name": "lars"},
    "def dense_gradient": {"clipping.adaptive": 0.1},
    "class ScheduleFreeAdamW": {"optimizer.name": "schedule_free_adamw"},
    "rate_factors": {"groups.layer_decay": 0.8},
    "lookahead=5": {"optimizer.lookahead": 5},
    "first_snapshot=16 *": {"optimizer.swa": 0.25},
    "renew_norms": {"optimizer.ema": 0.9},
    "set_dtype_policy": {"precision.policy": "mixed_bfloat16"},
    "import tensorflow": {"precision.policy": "graph_bfloat16", "runtime.jit": "off"},
    "jit_compile": {"runtime.jit": "on"},
    "steps_per_execution": {"runtime.steps_per_execution": 8},
    "set_dropout": {"regularization.dropout": 0.3},
    "PenaltyInTraining": {"regularization.l2": 1e-4},
    "L1L2": {"regularization.l2": 1e-4, "regularization.l1": 1e-4},
    "ScaledPenalty": {"regularization.l1": 1e-4, "regularization.adaptive_gap": 0.1},
    "def drop_channels": {"regularization.spatial_dropout": 0.1},
    "def drop_branches": {"regularization.stochastic_depth": 0.1},
    "class DroppedKernels": {"regularization.drop_connect": 0.1},
    "smoothed_cross_entropy": {"regularization.label_smoothing": 0.1},
    "class SparseFocalCrossentropy": {"loss.name": "focal"},
    "class Moves": {"augmentation.flip": True},
    "class ResizedCrop": {"augmentation.resized_crop": 0.3},
    "def equalize": {"augmentation.rand_ops": 2},
    "class AugMix": {"augmentation.augmix": 2},
    "class Erase": {"augmentation.erase": 0.5},
    "class Mix": {"augmentation.cutmix": 1.0},
    "one_hot_labels": {"augmentation.mixup": 0.2},
    "KeepBest": {"duration.evaluations_per_epoch": 3},
    "StopAtTarget": {"duration.stop_at_target": True},
    "one large batch": {"batch.accumulation": 4},
    "max(1, self.num_examples": {"batch.remainder": "drop"},
}


@pytest.mark.parametrize("part", ONLY_WITH)
def test_a_part_is_written_where_the_plan_asks_for_it_and_nowhere_else(part: str) -> None:
    assert part in eject(Plan().edit(ONLY_WITH[part]), "digits")
    assert part not in eject(Plan(), "digits")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"transfer.frozen": "7 steps"}, r"ends with an epoch.*'7 steps': 7 updates"),
        ({"transfer.frozen": 0.5, "schedule.plateau_patience": 2}, "plateau_patience = 0"),
        ({"loss.weights": "learned"}, "a loss for each of several outputs"),
        (
            {"loss.class_weights": "balanced", "regularization.l2": 1e-4}
            | {"regularization.adaptive_gap": 0.1},
            "without loss.class_weights",
        ),
    ],
)
def test_what_has_no_plain_form_is_refused(changes: dict, says: str) -> None:
    with pytest.raises(PlanError, match=says):
        eject(Plan().edit(changes), "digits")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plan=plans())
def test_any_plan_is_a_script_or_a_refusal_that_says_why(plan: Plan) -> None:
    try:
        script = eject(plan, "digits")
    except PlanError as error:
        assert error.mend.endswith(".")
        return
    _check(script)
    assert f'"KERAS_BACKEND"] = "{plan.runtime.backend}"' in script


@pytest.mark.parametrize("task", [name for name in names() if name != "fashion_mnist"])
def test_every_built_in_task_stands_alone(task: str) -> None:
    _check(eject(Plan(), task))


def test_fashion_mnist_stands_alone(tmp_path: Path) -> None:
    pytest.importorskip("slipstream.tasks.fashion_mnist")
    folder = Path("/usr/share/datasets/fashion-mnist")
    if not folder.is_dir():
        pytest.skip("the package dataset-fashion-mnist is not installed")
    _check(eject(Plan().edit({"augmentation.flip": True}), "fashion_mnist"))


def test_a_script_is_clean_in_the_eyes_of_a_linter(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    changes = {**_combined(), "duration.evaluations_per_epoch": 2}
    mixed = {"augmentation.mixup": 0.2, "augmentation.cutmix": 1.0, "augmentation.shift": 1}
    sharp = {"optimizer.sam": 0.1, "transfer.frozen": 0.5, "loss.class_weights": "balanced"}
    for plan in (Plan(), *(Plan().edit(one) for one in (changes, mixed, sharp))):
        script.write_text(eject(plan, "digits"), encoding="utf-8")
        rules = ["--isolated", "--select", "E4,E7,E9,F,B,UP", "--line-length", "100"]
        command = [sys.executable, "-m", "ruff", "check", *rules, str(script)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule.name": "linear", "schedule.floor": 0.1},
        {"schedule.name": "linear", "schedule.warmup": 0.2},
        {"schedule.name": "exponential", "schedule.warmup": 0.1, "schedule.floor": 0.05},
        {"schedule.name": "step_decay", "schedule.decay_every": 0.25},
        {"schedule.name": "warm_restarts", "schedule.cycles": 4, "schedule.warmup": 0.05},
        {"schedule.name": "one_cycle", "schedule.warmup": 0.3},
        {"schedule.name": "constant", "schedule.warmup": 0.5},
        {"schedule.name": "polynomial", "schedule.power": 3.0, "schedule.warmup": "1 step"},
        {"schedule.name": "inverse_time", "schedule.decay_every": "2 epochs"},
        {"schedule.name": "exponential", "schedule.staircase": True},
        {"schedule.name": "piecewise_constant", "schedule.pieces": "0.4: 0.3, 9 epochs: 0.1"},
        {"schedule.name": "warmup_stable_decay", "schedule.decay_shape": "sqrt"},
    ],
    ids=lambda changes: changes["schedule.name"],
)
@pytest.mark.parametrize("total", [2, 7, 200])
def test_rates_of_a_script_are_the_schedule(changes: dict, total: int) -> None:
    plan = Plan().edit({"schedule.peak": 0.02, **changes})
    tree = ast.parse(eject(plan, "digits"))
    function = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "rates")
    epochs = plan.duration.epochs
    place: dict = {"np": np, "RateTable": np.asarray, "EPOCHS": epochs}
    # Annotations name classes that are not there.
    function.returns = None
    exec(compile(ast.Module([function], []), "rates", "exec"), place)
    np.testing.assert_allclose(
        place["rates"](total),
        learning_rates(plan.schedule, total, total / epochs),
        rtol=1e-12,
        atol=1e-15,
    )


ONE_CYCLE = {"schedule.name": "one_cycle", "schedule.warmup": 0.3}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schedule.plateau_patience": 2}, "optimizer.learning_rate = 0.001 * self.plateau.factor"),
        (
            {"schedule.plateau_patience": 2, "schedule.name": "cosine"},
            "RateTable(self.table * self.plateau.factor)",
        ),
        (
            ONE_CYCLE | {"optimizer.beta_1": 0.95, "schedule.momentum_low": 0.85},
            "optimizer.momenta = momentum_table(total_updates)",
        ),
        ({"clipping.adaptive": 0.01}, "ClipWatch(optimizer, bounds, spared)"),
        ({"clipping.quantile": 0.9}, "ClipWatch(optimizer, bounds, ())"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_keras_lacks_is_copied_into_the_script(changes: dict, says: str) -> None:
    script = eject(Plan().edit(changes), "digits")
    _check(script)
    assert says in script


def test_the_smallest_norm_of_a_script_is_that_of_the_engine() -> None:
    text = copied_module("slipstream.ops.clipping")
    assert "SMALLEST_NORM = 1e-3" in text
    assert "SMALLEST_NORM = 0.001" in eject(Plan().edit({"clipping.adaptive": 0.01}), "digits")


def test_a_file_of_ones_own_keeps_its_comments_and_loses_slipstream(tmp_path: Path) -> None:
    script = eject(Plan(), str(_write(tmp_path, OWN_TASK)))
    _check(script)
    assert "# As wide as the paper says." in script
    assert "WIDTH = 32" in script
    assert "unused" not in script
    # The task has a constant called SEED and a function called model.
    assert "SEED = 7" in script
    assert "PLAN_SEED = 0" in script
    assert "model_ = model()" in script
    assert "loss=my_loss" in script
    assert "train, validation = load()" in script


def test_neighbours_of_a_task_file_stay_importable(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_task.py").write_text("SIZE = 4\n", encoding="utf-8")
    text = OWN_TASK.replace("WIDTH = 32", "from neighbour_of_task import SIZE as WIDTH")
    script = eject(Plan(), str(_write(tmp_path, text)))
    assert f'sys.path.insert(0, "{tmp_path}")' in script
    assert "from neighbour_of_task import SIZE as WIDTH" in script


def test_data_in_one_piece_are_set_apart_as_slipstream_does(tmp_path: Path) -> None:
    from slipstream.data import to_data
    from slipstream.tasks import resolve

    text = OWN_TASK.replace("return (x, y), (x, y)", "return x, y")
    path = str(_write(tmp_path, text))
    script = eject(Plan(), path)
    tree = ast.parse(script)
    wanted = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "set_apart"]
    place: dict = {"np": np, "keras": _FakeKeras}
    exec(compile(ast.Module(wanted, []), "set_apart", "exec"), place)
    data = to_data(resolve(path).data())
    train, validation = place["set_apart"](resolve(path).data())
    np.testing.assert_array_equal(train[0], data.train.x)
    np.testing.assert_array_equal(validation[1], data.validation.y)


@pytest.mark.parametrize(
    ("returned", "lines"),
    [
        ("(x, y), (x, y), (x, y)", ["train, validation, test = load()"]),
        ("(x, y, x[:, 0]), (x, y)", ["train, validation = load()"]),
        ("(x, y, None), (x, y)", ["train, validation = load()", "train = train[:2]"]),
        ("Split(x, y)", ["train = load()", "train = (train.x, train.y)", "set_apart(train)"]),
        (
            "{'train': (x, y), 'test': Split(x, y, x[:, 0])}",
            [
                'train = data["train"]',
                'test = (data["test"].x, data["test"].y, data["test"].sample',
            ],
        ),
        (
            "Data(Split({'a': x}, y), Split({'a': x}, y))",
            ["train = (data.train.x, data.train.y)", "validation = (data.validation.x, data.vali"],
        ),
        ("(x.tolist(), y), (x, y)", []),
    ],
)
def test_every_form_of_data_is_taken_apart(tmp_path: Path, returned: str, lines: list[str]) -> None:
    text = OWN_TASK.replace("return (x, y), (x, y)", f"return {returned}")
    text = text.replace("import Task\n", "import Task\nfrom slipstream.data import Data, Split\n")
    if "tolist" in returned:
        text = text.replace("x.tolist()", "memoryview(x)")
    script = eject(Plan().edit({"augmentation.shift": 1}), str(_write(tmp_path, text)))
    _check(script)
    for line in lines:
        assert line in script
    assert ("np.asarray, (train" in script) == ("tolist" in returned)


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("task = Task(", "task = dict(task=Task(", "another way"),
        ("import Task", "import Task, TaskFacts", "TaskFacts"),
    ],
)
def test_what_cannot_be_written_out_is_refused(
    tmp_path: Path, old: str, new: str, wrong: str
) -> None:
    text = OWN_TASK.replace(old, new)
    if new.startswith("task = dict"):
        text = text.rstrip() + ")['task']\n"
    else:
        text = text.replace("return (x, y)", "TaskFacts\n    return (x, y)")
        text = text.replace("import Task, TaskFacts", "import Task\nfrom slipstream import errors")
        text, wrong = text.replace("    TaskFacts", "    errors.PlanError"), "errors"
    with pytest.raises(TaskError, match=wrong):
        eject(Plan(), str(_write(tmp_path, text)))


def test_a_task_by_value_has_no_source(tmp_path: Path) -> None:
    from slipstream.task import Task
    from slipstream.tasks.by_value import write_by_value

    task = Task(model=lambda: None, data=lambda: ([1.0], [2.0]), loss="mse")
    file = write_by_value(task, tmp_path / "mine.task.pkl")
    with pytest.raises(TaskError, match="no source"):
        eject(Plan(), str(file))


def test_a_loader_that_fails_is_named(tmp_path: Path) -> None:
    text = OWN_TASK.replace("return (x, y), (x, y)", "return missing")
    with pytest.raises(TaskError, match="NameError: name 'missing'"):
        eject(Plan(), str(_write(tmp_path, text)))


def test_smoothing_needs_a_cross_entropy(tmp_path: Path) -> None:
    plan = Plan().edit({"regularization.label_smoothing": 0.1})
    with pytest.raises(PlanError, match="cross-entropy"):
        eject(plan, "diabetes")
    with pytest.raises(PlanError, match="a loss of your own"):
        eject(plan, str(_write(tmp_path, OWN_TASK)))


OWN_TASK = '''
"""A task with traps."""

import numpy as np

from slipstream.task import Task

SEED = 7
# As wide as the paper says.
WIDTH = 32
unused = 1


def model():
    import keras

    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(WIDTH), keras.layers.Dense(1)])


def load():
    random = np.random.default_rng(SEED)
    x = random.normal(size=(50, 3)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    return (x, y), (x, y)


def my_loss(y_true, y_pred):
    return (y_true - y_pred) ** 2


task = Task(model=model, data=load, loss=my_loss, monitor="val_loss")
'''


class _FakeTree:
    @staticmethod
    def map_structure(function, nest):
        return tuple(function(array) for array in nest)

    @staticmethod
    def flatten(nest):
        return list(nest)


class _FakeKeras:
    tree = _FakeTree


def _write(folder: Path, text: str) -> Path:
    path = folder / "own_task.py"
    path.write_text(text, encoding="utf-8")
    return path


def _combined() -> dict:
    changes: dict = {}
    for part in ONLY_WITH.values():
        changes |= part
    agreeing = {"optimizer.name": "adamw", "schedule.name": "one_cycle", "optimizer.ema": 0.0}
    # Plain Keras mixes labels for the task's own loss alone.
    agreeing |= {"augmentation.mixup": 0.0, "augmentation.cutmix": 0.0}
    # And compares that loss alone.
    agreeing |= {"regularization.adaptive_gap": 0.0}
    # One bound on the gradient is all there may be.
    agreeing |= {"clipping.adaptive": 0.0}
    return {**changes, **agreeing, "precision.policy": "mixed_float16"}


def _check(script: str) -> None:
    """A script is valid Python that imports no Slipstream and defines nothing it does not use."""
    tree = ast.parse(script)
    compile(script, "train.py", "exec")
    imported = [
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    ]
    assert not [name for name in imported if name.partition(".")[0] == "slipstream"]
    loaded = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    defined = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    assert defined <= loaded | {"main"}, defined - loaded
