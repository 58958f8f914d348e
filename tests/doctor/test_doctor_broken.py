"""Broken cases: each is found by exactly the one check that is made for it."""

from __future__ import annotations

import numpy as np
import pytest
from bad_data_cases import MORE_ERRORS, MORE_WARNINGS
from doctor_cases import NUM_TRAIN, case, features, one_hot, output

from slipstream.data import Split, to_data
from slipstream.doctor import Case, Finding, all_checks, examine, refuse
from slipstream.errors import DataError, InputError, PlanError, TaskError
from slipstream.plan import Plan
from slipstream.task import InputFacts, OutputFacts

SPARSE = output((4,), "softmax", "SparseCategoricalCrossentropy")
ONE_HOT = output((4,), "softmax", "CategoricalCrossentropy")
BINARY = output((1,), "sigmoid", "BinaryCrossentropy")
REGRESSION = output((1,), "linear", "MeanSquaredError")
SEQUENCE = output((5, 4), "softmax", "SparseCategoricalCrossentropy")
BYTES = (InputFacts("x", (3,), "float32"),)


def labels(n: int) -> np.ndarray:
    return np.arange(n) % 4


def bits(n: int) -> np.ndarray:
    return np.arange(n) % 2


def values(n: int) -> np.ndarray:
    return np.linspace(-3, 3, n)


def replaced(row: int, value: float) -> np.ndarray:
    """Return a maker of labels with another value in one row of the training split."""
    return lambda n: np.where((np.arange(n) == row) & (n == NUM_TRAIN), value, labels(n))


def with_(base: OutputFacts, **changes: object) -> OutputFacts:
    return OutputFacts(**{**vars(base), **changes})


def broken_x(value: float, dtype: str = "float32"):
    def make(n: int) -> np.ndarray:
        x = features(3)(n).astype(dtype)
        if n == NUM_TRAIN:
            x[[2, 5, 7, 11], 1] = value
        return x

    return make


# name of the case -> (the check, words that its message must hold, the case)
ERRORS: dict[str, tuple[str, tuple[str, ...], Case]] = {
    "label = C": (
        "sparse_labels",
        ("labels from 0 to 3", "0 to 4", "1 of 40", "row 6", "training", "5 outputs"),
        case(replaced(6, 4), SPARSE),
    ),
    "label = -1": ("sparse_labels", ("from -1", "ignore_class"), case(replaced(6, -1), SPARSE)),
    "labels from 1 to C": (
        "sparse_labels",
        ("from 1 to 4", "rows 3, 7, 11, ...", "subtract 1"),
        case(lambda n: labels(n) + 1, SPARSE),
    ),
    "labels -1 and 0 of two classes": (
        "sparse_labels",
        ("from -1 to 0", "add 1", "from 0 to 1"),
        case(lambda n: bits(n) - 1, with_(SPARSE, shape=(2,))),
    ),
    "labels -1 and 1 of two classes": (
        "sparse_labels",
        ("from -1 to 1", "(y + 1) // 2"),
        case(lambda n: 2 * bits(n) - 1, with_(SPARSE, shape=(2,))),
    ),
    "labels from -2 in a float array": (
        "sparse_labels",
        ("from -2 to 1", "add 2", "from 0 to 3"),
        case(lambda n: labels(n) - 2.0, SPARSE),
    ),
    "labels from 7": (
        "sparse_labels",
        ("from 7 to 10", "subtract 7"),
        case(lambda n: labels(n) + 7, SPARSE),
    ),
    "labels with gaps": (
        "sparse_labels",
        ("from 0 to 15", "numpy.unique"),
        case(lambda n: labels(n) * 5, SPARSE),
    ),
    "labels from 1 beside labels of no class": (
        "sparse_labels",
        ("from 1 to 4", "subtract 1"),
        case(
            lambda n: np.where(np.arange(n) % 5 == 0, 255, labels(n) + 1),
            with_(SPARSE, ignore_class=255),
        ),
    ),
    "fractions with a sparse loss": (
        "sparse_labels",
        ("whole numbers", "row 6"),
        case(replaced(6, 2.5), SPARSE),
    ),
    "label = C in a sequence": (
        "sparse_labels",
        ("20 of 20", "validation"),
        case(lambda n: np.arange(n * 5).reshape(n, 5) % 4 + 4 * (n < NUM_TRAIN), SEQUENCE),
    ),
    "one-hot with a sparse loss": (
        "target_form",
        ("one-hot", "(N, 4)", "categorical_crossentropy", "argmax"),
        case(one_hot, SPARSE),
    ),
    "one-hot sequence with a sparse loss": (
        "target_form",
        ("(N, 5, 4)",),
        case(lambda n: np.eye(4)[np.arange(n * 5).reshape(n, 5) % 4], SEQUENCE),
    ),
    "labels with a one-hot loss": (
        "target_form",
        ("(N,)", "sparse_categorical_crossentropy", "numpy.eye(4)"),
        case(labels, ONE_HOT),
    ),
    "labels (N, 1) with a one-hot loss": (
        "target_form",
        ("(N, 1)",),
        case(lambda n: labels(n)[:, None], ONE_HOT),
    ),
    "one-hot of another size": (
        "target_shapes",
        ("(N, 4)", "(N, 5)"),
        case(lambda n: np.eye(5)[labels(n)], ONE_HOT),
    ),
    "softmax and from_logits": (
        "probabilities",
        ("logits", "from_logits=True", "ends in softmax"),
        case(labels, with_(SPARSE, from_logits=True)),
    ),
    "sigmoid and from_logits": (
        "probabilities",
        ("ends in sigmoid",),
        case(bits, with_(BINARY, from_logits=True)),
    ),
    "logits and from_logits=False": (
        "probabilities",
        ("softmax at the end", "ends in linear", "from_logits=True"),
        case(labels, with_(SPARSE, activation="linear")),
    ),
    "binary logits and from_logits=False": (
        "probabilities",
        ("sigmoid at the end",),
        case(bits, with_(BINARY, activation="linear")),
    ),
    "binary labels 1 and 2": (
        "binary_labels",
        ("from 1 to 2", "Subtract 1"),
        case(lambda n: bits(n) + 1, BINARY),
    ),
    "binary labels -1 and 1": (
        "binary_labels",
        ("from -1 to 1", "(y + 1) / 2"),
        case(lambda n: 2 * bits(n) - 1, BINARY),
    ),
    "binary labels -1 and 0": (
        "binary_labels",
        ("from -1 to 0", "Add 1"),
        case(lambda n: bits(n) - 1, BINARY),
    ),
    "binary labels 0 and 255": (
        "binary_labels",
        ("from 0 to 255", "y == 255"),
        case(lambda n: bits(n) * np.uint8(255), BINARY),
    ),
    "three labels with a binary loss": (
        "binary_labels",
        ("from -1 to 1", "softmax"),
        case(lambda n: np.arange(n) % 3 - 1, BINARY),
    ),
    "four labels with a binary loss": (
        "binary_labels",
        ("softmax",),
        case(labels, BINARY),
    ),
    "(N,) against (N, 1), own loss": (
        "flat_targets",
        ("(N, 1)", "(N,)", "a loss of your own", "y[..., None]"),
        case(values, with_(REGRESSION, loss="custom")),
    ),
    "(N,) against (N, 1), own metric": (
        "flat_targets",
        ("a metric of your own",),
        case(bits, with_(BINARY, metrics=("BinaryAccuracy", "custom"))),
    ),
    "(N,) against (N, 1), F1Score": (
        "flat_targets",
        ("the metric F1Score",),
        case(bits, with_(BINARY, metrics=("F1Score",))),
    ),
    "(N, 1) against (N,), own metric": (
        "flat_targets",
        ("y[..., 0]",),
        case(lambda n: values(n)[:, None], with_(REGRESSION, shape=(), metrics=("custom",))),
    ),
    "two columns against (N, 1)": (
        "target_shapes",
        ("(N, 1)", "(N, 2)"),
        case(lambda n: np.ones((n, 2)), REGRESSION),
    ),
    "(N, 1) against (N, 2)": (
        "target_shapes",
        ("(N, 2)",),
        case(lambda n: values(n)[:, None], with_(REGRESSION, shape=(2,))),
    ),
    "two columns against (N, 1), a loss named as a function": (
        "target_shapes",
        ("Huber",),
        case(lambda n: np.ones((n, 2)), with_(REGRESSION, loss="huber")),
    ),
    "two columns against (N, 1), a loss of several words": (
        "target_shapes",
        ("KLDivergence",),
        case(
            lambda n: np.ones((n, 2)),
            with_(REGRESSION, loss="KlDivergence", activation="sigmoid"),
        ),
    ),
    "(N,) against (N, 2)": ("target_shapes", (), case(values, with_(REGRESSION, shape=(2,)))),
    "sequence labels for one answer": (
        "target_shapes",
        ("(N, 5)",),
        case(lambda n: np.zeros((n, 5), int), SPARSE),
    ),
    "one label for a sequence": ("target_shapes", ("(N, 5)",), case(labels, SEQUENCE)),
    "accuracy of a bare number": (
        "scalar_outputs",
        ("'y' of shape (N,)", "accuracy"),
        case(bits, with_(BINARY, shape=())),
    ),
    "what Keras takes for accuracy, of a bare number": (
        "scalar_outputs",
        ("the metric Accuracy",),
        case(bits, with_(BINARY, shape=(), metrics=("Accuracy",))),
    ),
    "R2 of a bare number": (
        "scalar_outputs",
        ("R2Score",),
        case(values, with_(REGRESSION, shape=(), metrics=("R2Score",))),
    ),
    "an area under the curve of labels": (
        "metric_targets",
        ("4 numbers", "AUC", "labels in the targets of the training", "'f1_macro'"),
        case(labels, with_(SPARSE, metrics=("Accuracy", "AUC"))),
    ),
    "an accuracy that takes labels, of one-hot targets": (
        "metric_targets",
        ("one label", "SparseCategoricalAccuracy", "one-hot"),
        case(one_hot, with_(ONE_HOT, metrics=("SparseCategoricalAccuracy",))),
    ),
    "precision of logits": (
        "threshold_of_logits",
        ("Precision", "thresholds=0.0", "sigmoid"),
        case(
            lambda n: bits(n)[:, None],
            with_(BINARY, activation="linear", from_logits=True, share_metrics=("Precision",)),
        ),
    ),
    "softmax over one unit": (
        "one_unit",
        ("one unit in 'y'", "sigmoid"),
        case(bits, with_(BINARY, activation="softmax")),
    ),
    "a sparse loss over one unit": ("one_unit", (), case(bits, with_(SPARSE, shape=(1,)))),
    "NaN in the inputs": (
        "not_finite",
        ("NaN in 4 of 40 examples (rows 2, 5, 7, ...)", "inputs of the training split"),
        case(labels, SPARSE, x=broken_x(np.nan)),
    ),
    "infinity in half precision": (
        "not_finite",
        ("infinity in 4 of 40",),
        case(labels, SPARSE, x=broken_x(-np.inf, "float16")),
    ),
    "more than float32 holds, and as much below 0": (
        "not_finite",
        ("like 1e+200, which are infinite as float32, in 1 of 40 examples (row 7)", "scale"),
        case(
            labels,
            SPARSE,
            x=lambda n: features(3)(n) + np.outer(np.arange(n) == n - 33, [0, 1e200, -1e200]),
        ),
    ),
    "targets of more than float32 holds": (
        "not_finite",
        ("like -1e+39", "targets of the training split", "(row 3)"),
        case(
            lambda n: np.where(np.arange(n) == n - 37, -1e39, np.linspace(-3, 3, n)),
            output((1,), "linear", "MeanSquaredError"),
            sizes=(NUM_TRAIN, 20),
        ),
    ),
    "NaN in the targets": (
        "not_finite",
        ("targets", "row 6"),
        case(replaced(6, np.nan), SPARSE),
    ),
    "NaN in binary targets": (
        "not_finite",
        ("targets",),
        case(lambda n: np.where((np.arange(n) == 1) & (n == NUM_TRAIN), np.nan, bits(n)), BINARY),
    ),
    "NaN in the weights": (
        "not_finite",
        ("sample weights", "validation", "row 9"),
        case(
            labels,
            SPARSE,
            weight=lambda n: np.where((np.arange(n) == 9) & (n < NUM_TRAIN), np.nan, 1.0),
        ),
    ),
    "text as labels": (
        "array_types",
        ("text like 'cat'", "targets", "return_inverse=True"),
        case(lambda n: np.array(["cat", "dog"] * n)[:n] if n == NUM_TRAIN else labels(n), SPARSE),
    ),
    "text as objects": (
        "array_types",
        ("text like 'cat'",),
        case(lambda n: np.array(["cat"] * n, object) if n == NUM_TRAIN else labels(n), SPARSE),
    ),
    "rows of different lengths": (
        "array_types",
        ("objects", "inputs"),
        case(
            labels,
            SPARSE,
            x=lambda n: (
                np.array([[1], [1, 2]] * n, object)[:n] if n == NUM_TRAIN else features(3)(n)
            ),
        ),
    ),
    "dates": (
        "array_types",
        ("datetime64",),
        case(lambda n: np.zeros(n, "datetime64[s]") if n == NUM_TRAIN else values(n), REGRESSION),
    ),
    "more targets than inputs": (
        "equal_lengths",
        ("40 inputs, 41 targets", "training"),
        case(lambda n: labels(n + (n == NUM_TRAIN)), SPARSE),
    ),
    "fewer weights than inputs": (
        "equal_lengths",
        ("39 sample weights",),
        case(labels, SPARSE, weight=lambda n: np.ones(n - (n == NUM_TRAIN))),
    ),
    "an empty split": (
        "empty_split",
        ("validation",),
        case(
            lambda n: labels(n)[: None if n == NUM_TRAIN else 0],
            SPARSE,
            x=lambda n: features(3)(n)[: None if n == NUM_TRAIN else 0],
        ),
    ),
    "a batch larger than the split": (
        "batch_size",
        ("at most 40", "batch.size = 64", "40 or less"),
        case(labels, SPARSE, changes={"batch.size": 64}),
    ),
    "an update larger than the split": (
        "batch_size",
        ("batch.accumulation = 8", "5 or less"),
        case(labels, SPARSE, changes={"batch.size": 16, "batch.accumulation": 8}),
    ),
    "a mistyped monitor": (
        "monitor_name",
        ("'val_acuracy'", "Did you mean 'val_accuracy'?"),
        case(labels, SPARSE, monitor="val_acuracy"),
    ),
    "a monitor of the training": (
        "monitor_name",
        ("'val_accuracy'",),
        case(labels, SPARSE, monitor="accuracy"),
    ),
    "too few features": (
        "input_shapes",
        ("(N, 3)", "(N, 2)", "training"),
        case(labels, SPARSE, x=lambda n: features(2 if n == NUM_TRAIN else 3)(n)),
    ),
    "flattened images": (
        "input_shapes",
        ("(N, 8, 8, 1)", "(N, 64)"),
        case(
            labels,
            SPARSE,
            inputs=(InputFacts("x", (8, 8, 1), "float32"),),
            x=lambda n: (features(64) if n == NUM_TRAIN else features(8, 8, 1))(n),
        ),
    ),
    "two inputs for one": (
        "structure",
        ("'x'", "2 arrays in the inputs"),
        case(labels, SPARSE, x=lambda n: (features(3)(n), features(3)(n))),
    ),
    "a misnamed output": (
        "structure",
        ("'y'", "no 'y' but 'z'"),
        case(lambda n: {"z": labels(n)}, SPARSE),
    ),
    "an output too many": (
        "structure",
        ("also 'z'",),
        case(lambda n: {"y": labels(n), "z": labels(n)}, SPARSE),
    ),
    "weights (N,) over a sequence": (
        "weight_shapes",
        ("(N, 1) or (N, 5)", "(N,)"),
        case(lambda n: np.zeros((n, 5), int) + labels(n)[:, None], SEQUENCE, weight=np.ones),
    ),
    "weights for each output unit": (
        "weight_shapes",
        ("(N, 2)",),
        case(
            lambda n: np.ones((n, 2)),
            with_(REGRESSION, shape=(2,)),
            weight=lambda n: np.ones((n, 2)),
        ),
    ),
}

WARNINGS: dict[str, tuple[str, tuple[str, ...], Case]] = {
    "bytes": (
        "unscaled_inputs",
        ("bytes (uint8) up to 198", "Rescaling"),
        case(labels, SPARSE, x=lambda n: (features(3)(n) * 99).astype("uint8") + 101),
    ),
    "accuracy of a logit": (
        "accuracy_of_logits",
        ("0.5", "BinaryAccuracy", "'threshold': 0.0"),
        case(
            lambda n: bits(n)[:, None],
            with_(BINARY, activation="linear", from_logits=True, metrics=("Accuracy",)),
        ),
    ),
    "one class": ("one_class", ("class 3",), case(lambda n: np.full(n, 3), SPARSE)),
    "one class, one-hot": (
        "one_class",
        ("class 1",),
        case(lambda n: np.eye(4)[np.full(n, 1)], ONE_HOT),
    ),
    "one class, binary": ("one_class", ("class 0",), case(lambda n: np.zeros((n, 1)), BINARY)),
    "a class never trained": (
        "unseen_class",
        ("class 3", "validation"),
        case(lambda n: labels(n) if n < NUM_TRAIN else np.arange(n) % 3, SPARSE),
    ),
    "a class never trained, one-hot": (
        "unseen_class",
        ("classes 2, 3, which never do",),
        case(lambda n: one_hot(n) if n < NUM_TRAIN else np.eye(4)[bits(n)], ONE_HOT),
    ),
    "several classes an example": (
        "one_hot_rows",
        ("40 of 40", "binary_crossentropy"),
        case(lambda n: np.ones((n, 4)) if n == NUM_TRAIN else one_hot(n), ONE_HOT),
    ),
} | MORE_WARNINGS
ERRORS |= MORE_ERRORS

KINDS = {"batch_size": PlanError} | dict.fromkeys(
    (
        "accuracy_of_values",
        "metric_targets",
        "monitor_name",
        "one_unit",
        "prediction_domain",
        "probabilities",
        "scalar_outputs",
        "target_value",
        "threshold_of_logits",
        "top_k",
    ),
    TaskError,
)


@pytest.mark.parametrize("name", ERRORS)
def test_each_error_is_found_by_its_check_alone(name: str) -> None:
    check, words, broken = ERRORS[name]
    findings = examine(broken)
    assert {(finding.check, finding.severity) for finding in findings} == {(check, "error")}
    with pytest.raises(InputError) as caught:
        refuse(findings)
    assert type(caught.value) is KINDS.get(check, DataError)
    assert caught.value.exit_code == 2
    message = str(caught.value)
    assert not [word for word in words if word not in message], message
    # One line, or one for each finding and one for their count.
    assert len(message.splitlines()) == len(findings) + (len(findings) > 1)
    assert ".." not in message.replace("...", "")


def test_a_small_split_is_mended_as_all_splits_together_are() -> None:
    broken = case(lambda n: labels(n) - 1 if n == NUM_TRAIN else bits(n) - 1, SPARSE)
    first, second = examine(broken)
    assert "validation" in second.where and "labels from -1 to 0" in second.where
    assert first.mend == second.mend == "Labels start at 0: add 1, so that they run from 0 to 3."


@pytest.mark.parametrize("weights", [None, np.ones(200)])
def test_rows_are_numbered_as_the_user_gave_them_where_we_split(weights: np.ndarray | None) -> None:
    x, y = features(3)(200), np.arange(200) % 4
    bad = [3, 50, 77, 120, 199]
    x[bad] = np.nan
    data = to_data(Split(x, y, weights))
    found = examine(Case(data, case(labels, SPARSE).model, Plan()))
    kept = {"training": data.train, "validation": data.validation}
    assert found and {finding.check for finding in found} == {"not_finite"}
    for finding in found:
        split = next(name for name in kept if name in finding.what)
        mine = sorted(set(bad) & set(kept[split].rows.tolist()))
        shown = ", ".join(map(str, mine[:3])) + (", ..." if len(mine) > 3 else "")
        assert f"{len(mine)} of {len(kept[split].y)} examples" in finding.where
        assert f"{shown} of the data before the split)" in finding.where
        assert "NaN" in finding.where
    assert sum(np.isnan(split.x).any(axis=1).sum() for split in kept.values()) == len(bad)


@pytest.mark.parametrize("name", WARNINGS)
def test_each_warning_is_found_by_its_check_alone_and_refuses_nothing(name: str) -> None:
    check, words, odd = WARNINGS[name]
    findings = examine(odd)
    assert {(finding.check, finding.severity) for finding in findings} == {(check, "warning")}
    said = " ".join((findings[0].what, findings[0].where, findings[0].mend))
    assert not [word for word in words if word not in said], said
    refuse(findings)


def test_every_check_has_a_broken_case_and_a_name_of_its_own() -> None:
    names = {check.__module__.rpartition(".")[2] for check in all_checks()}
    of_files = {"mixed_channels", "skipped_files"}
    assert names == {check for check, _, _ in (ERRORS | WARNINGS).values()} | of_files
    assert all(check.__doc__ for check in all_checks())


def test_a_list_of_numbers_in_place_of_an_array_is_explained() -> None:
    broken = case(lambda n: tuple(np.asarray(label) for label in labels(n)), SPARSE)
    said = [finding.mend for finding in examine(broken) if finding.check == "array_types"]
    assert "Turn lists of numbers into arrays with numpy.asarray." in said


def test_further_errors_are_listed_a_line_each() -> None:
    broken = case(replaced(6, 9), SPARSE, monitor="val_acc", changes={"batch.size": 99})
    with pytest.raises(PlanError) as caught:
        refuse(examine(broken))
    first, count, *more = str(caught.value).splitlines()
    assert "batch.size" in first
    assert count == "  2 more problems were found:"
    assert [line[:13] for line in more] == ["  - Expected "] * 2
    assert "'val_acc'" in more[0] and "Did you mean" in more[0]
    assert "labels from 0 to 9" in more[1] and "row 6" in more[1]
    broken = case(replaced(6, 9), SPARSE, monitor="val_acc")
    with pytest.raises(TaskError, match=r"1 more problem was found:\n  - Expected labels.*$"):
        refuse(examine(broken))


def test_the_same_problem_in_another_split_is_told_in_short() -> None:
    broken = case(lambda n: labels(n) + 1, SPARSE, x=broken_x(np.nan))
    with pytest.raises(DataError) as caught:
        refuse(examine(broken))
    lines = str(caught.value).splitlines()
    assert "NaN in 4 of 40" in lines[0]
    assert lines[1] == "  2 more problems were found:"
    assert lines[2].startswith("  - Expected labels from 0 to 3") and "subtract 1" in lines[2]
    for made in (broken, case(lambda n: labels(n) + 1, SPARSE)):
        with pytest.raises(DataError) as caught:
            refuse(examine(made))
        *_, last = str(caught.value).splitlines()
        assert last.startswith("  - Also labels from 1 to 4 in the targets of the validation split")
        assert "subtract" not in last and "Expected" not in last


@pytest.mark.parametrize(("num", "rest"), [(5, []), (6, ["  - and 1 more."])])
def test_at_most_five_errors_are_listed(num: int, rest: list[str]) -> None:
    found = [Finding("c", "error", f"a{i}", f"b{i}", f"Mend {i}.") for i in range(num)]
    with pytest.raises(DataError) as caught:
        refuse(found)
    listed = [f"  - Expected a{i}; got b{i}. Mend {i}." for i in range(1, 5)]
    assert str(caught.value).splitlines() == [
        "Expected a0; got b0. Mend 0.", f"  {num - 1} more problems were found:", *listed, *rest
    ]  # fmt: skip


def test_errors_come_before_warnings() -> None:
    broken = case(replaced(6, 9), SPARSE, x=lambda n: (features(3)(n) * 200).astype("uint8"))
    assert [finding.severity for finding in examine(broken)] == ["error", "warning"]
