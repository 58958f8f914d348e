"""Bad data, each found by one check: (the check, words of its message, the case)."""

from __future__ import annotations

from typing import Any

import numpy as np
from doctor_cases import NUM_TRAIN, case, features, one_hot, output

from slipstream.doctor import Case
from slipstream.task import InputFacts, OutputFacts

SPARSE = output((4,), "softmax", "SparseCategoricalCrossentropy")
ONE_HOT = output((4,), "softmax", "CategoricalCrossentropy")
BINARY = output((1,), "sigmoid", "BinaryCrossentropy")
IMAGE = (InputFacts("x", (4, 4, 1), "float32"),)

Cases = dict[str, tuple[str, tuple[str, ...], Case]]


def labels(n: int) -> np.ndarray:
    return np.arange(n) % 4


def bits(n: int) -> np.ndarray:
    return np.arange(n) % 2


def regression(loss: str, activation: str = "linear") -> OutputFacts:
    return output((1,), activation, loss)


def counts(n: int, bad: float) -> np.ndarray:
    """Return counts from 1 to 5, of which two of the training split are bad."""
    values = 1.0 + np.arange(n) % 5
    values[[3, 9]] = np.where(n == NUM_TRAIN, bad, values[[3, 9]])
    return values


def shares(n: int, bad: Any) -> np.ndarray:
    values = features(4)(n).astype("float64")
    values /= values.sum(axis=1, keepdims=True)
    if n == NUM_TRAIN:
        values[5] = bad
    return values


def sharing(count: int) -> Any:
    """Return a maker of inputs; so many rows of the validation split are training rows."""

    def make(n: int) -> np.ndarray:
        x = features(3)(n)
        if n != NUM_TRAIN:
            x[4 : 4 + count] = features(3)(NUM_TRAIN)[10 : 10 + count]
        return x

    return make


def doubled(n: int) -> np.ndarray:
    """Return copies of a few inputs, of very many that there could be."""
    return features(30)(7)[np.arange(n) % 7]


FORTY_IDS = (InputFacts("x", (2,), "int32", table=40),)


def ids(n: int, first: int = 0) -> np.ndarray:
    """Return n examples of two ids each; the first one rises by 1, the other tells the splits."""
    return np.column_stack([first + np.arange(n), np.full(n, n % 7)])


FOUR_FEATURES = InputFacts("x", (4,), "float32")


def with_value(value: float, *rows: int) -> Any:
    """Return a maker of inputs with a value in the second feature of some training rows."""

    def make(n: int) -> np.ndarray:
        x = features(3)(n)
        x[list(rows) if n == NUM_TRAIN else [], 1] = value
        return x

    return make


def by_split(training: Any, validation: Any) -> Any:
    return lambda n: (training if n == NUM_TRAIN else validation)(n)


def standard(n: int) -> np.ndarray:
    x = features(3)(n).astype("float64")
    return (x - x.mean(axis=0)) / x.std(axis=0)


def with_column(value: float) -> Any:
    return lambda n: np.concatenate([features(3)(n), np.full((n, 1), value)], axis=1)


MORE_ERRORS: Cases = {
    "negative counts": (
        "target_domain",
        ("0 or more for the loss Poisson", "like -2", "2 of 40 examples (rows 3, 9)", "training"),
        case(lambda n: counts(n, -2), regression("Poisson", "softplus")),
    ),
    "negative targets of a logarithm": (
        "target_domain",
        ("MeanSquaredLogarithmicError", "like -0.5"),
        case(lambda n: counts(n, -0.5), regression("MeanSquaredLogarithmicError")),
    ),
    "percentages of zero": (
        "target_domain",
        ("other than 0", "like 0", "division by zero"),
        case(lambda n: counts(n, 0), regression("MeanAbsolutePercentageError")),
    ),
    "hinge of 1 and 2": (
        "target_domain",
        ("-1 and 1", "like 2", "20 of 40"),
        case(lambda n: bits(n) + 1, output((1,), "tanh", "Hinge")),
    ),
    "hinge of -1, 0 and 1": (
        "target_domain",
        ("SquaredHinge", "like 0"),
        case(lambda n: np.arange(n) % 3 - 1, output((1,), "tanh", "SquaredHinge")),
    ),
    "categorical hinge of -1 and 1": (
        "target_domain",
        ("CategoricalHinge", "like -1"),
        case(lambda n: 2 * one_hot(n) - 1, output((4,), "linear", "CategoricalHinge")),
    ),
    "a divergence of counts": (
        "target_domain",
        ("KLDivergence", "like 3", "row 5", "Divide each row"),
        case(lambda n: shares(n, [3, 0, 0, 0]), output((4,), "softmax", "KLDivergence")),
    ),
    "a negative share": (
        "target_domain",
        ("CategoricalCrossentropy", "like -0.5", "row 5"),
        case(lambda n: shares(n, [1.5, -0.5, 0, 0]), ONE_HOT),
    ),
    "Poisson of an output without activation": (
        "prediction_domain",
        ("rates above 0", "ends in linear", "softplus"),
        case(lambda n: counts(n, 1), regression("Poisson")),
    ),
    "a divergence of log-probabilities": (
        "prediction_domain",
        ("probabilities", "ends in log_softmax"),
        case(lambda n: shares(n, 0.25), output((4,), "log_softmax", "KLDivergence")),
    ),
    "two inputs and two outputs, read as two splits": (
        "structure",
        ("1 array in the inputs", "slipstream.Split((a, b), (c, d))"),
        case(
            labels,
            OutputFacts(**{**vars(SPARSE), "name": "p"}),
            OutputFacts(**{**vars(SPARSE), "name": "q"}),
            inputs=(InputFacts("a", (3,), "float32"), InputFacts("b", (3,), "float32")),
        ),
    ),
    "a class's weight that is NaN": (
        "weight_values",
        ("NaN or infinity for class 2", "class_weight"),
        case(labels, SPARSE, class_weight={0: 1.0, 1: 2, 2: float("nan"), 3: 1.0}),
    ),
    "classes of no weight": (
        "weight_values",
        ("0 for classes 0, 1, 2 and 1 more",),
        case(labels, SPARSE, class_weight=dict.fromkeys(range(4), 0)),
    ),
    "weights of zero alone": (
        "weight_values",
        ("0 in all 20", "validation"),
        case(labels, SPARSE, weight=lambda n: np.full(n, float(n == NUM_TRAIN))),
    ),
    "a validation split that was trained on": (
        "shared_rows",
        ("12 of 20 examples (rows 4, 5, 6, ...), 60 %", "validation", "copied"),
        case(labels, SPARSE, x=sharing(12)),
    ),
}

MORE_ERRORS |= {
    "the accuracy of measured values": (
        "accuracy_of_values",
        ("39 of 40", "MeanSquaredError", "'mae'"),
        case(
            lambda n: np.linspace(-3, 3, n),
            output((1,), "linear", "MeanSquaredError", metrics=("MeanAbsoluteError", "Accuracy")),
        ),
    ),
    "a target in percent": (
        "target_value",
        ("from 0 to 1 for val_accuracy", "got 92.", "target=0.92"),
        case(
            labels,
            OutputFacts(**{**vars(SPARSE), "metrics": ("Accuracy",)}),
            monitor="val_accuracy",
            target=92,
        ),
    ),
    "a loss below 0": (
        "target_value",
        ("0 or more", "-0.5"),
        case(labels, SPARSE, target=-0.5),
    ),
    "a target of the second output": (
        "target_value",
        ("1 or less for val_b_r2_score", "1.5"),
        case(
            lambda n: (labels(n), counts(n, 1)),
            OutputFacts(**{**vars(SPARSE), "name": "a", "metrics": ("Accuracy",)}),
            OutputFacts(
                **{**vars(regression("Huber")), "name": "b"}
                | {"metrics": ("MeanAbsoluteError", "R2Score")}
            ),
            logged=("loss", "a_loss", "b_loss", "a_accuracy", "b_mae", "b_r2_score"),
            monitor="val_b_r2_score",
            target=1.5,
        ),
    ),
    "five answers of four classes": (
        "top_k",
        ("at least 5 classes", "top-5", "got 4 of them."),
        case(labels, OutputFacts(**{**vars(SPARSE), "top_k": 5})),
    ),
    "tokens from 1": (
        "embedding_ids",
        ("ids from 0 to 39", "of 40 rows", "ids from 1 to 40", "(row 39)", "subtract 1", "=41"),
        case(labels, SPARSE, x=lambda n: ids(n, 1), inputs=FORTY_IDS),
    ),
    "an id below 0": (
        "embedding_ids",
        ("ids from -1 to 38", "1 of 40 examples (row 0)", "add 1."),
        case(labels, SPARSE, x=lambda n: ids(n, -1), inputs=FORTY_IDS),
    ),
    "ids of two more than there are, in the validation split": (
        "embedding_ids",
        ("validation split", "to 41", "2 of 20 examples (rows 18, 19)", "input_dim=42"),
        case(labels, SPARSE, x=by_split(ids, lambda n: ids(n, 22)), inputs=FORTY_IDS),
    ),
    "numbers of customers": (
        "embedding_ids",
        ("from 0 to 39000", "40 of 40", "numpy.unique"),
        case(labels, SPARSE, x=by_split(lambda n: ids(n) * 1000, ids), inputs=FORTY_IDS),
    ),
    "channels before rows": (
        "input_shapes",
        ("(N, 3, 8, 6)", "numpy.moveaxis(x, 1, -1)", "mix up"),
        case(labels, SPARSE, x=features(3, 8, 6), inputs=(InputFacts("x", (8, 6, 3), "float32"),)),
    ),
    "channels behind columns": (
        "input_shapes",
        ("numpy.moveaxis(x, -1, 1)",),
        case(
            labels,
            SPARSE,
            x=features(8, 8, 3),
            inputs=(InputFacts("x", (3, None, None), "float32"),),
        ),
    ),
}

MORE_WARNINGS: Cases = {
    "a number for what is missing": (
        "sentinels",
        ("-999 in 3 of 40 examples of feature 1", "median"),
        case(labels, SPARSE, x=with_value(-999, 2, 3, 9)),
    ),
    "a feature of other size": (
        "feature_scales",
        ("in feature 2", "where 0.2", "Normalization"),
        case(labels, SPARSE, x=lambda n: features(3)(n) * [1, 1, 1e9]),
    ),
    "a broken cell": (
        "feature_scales",
        ("1e+30 in 1 of 40 examples (row 9) of feature 1 (", "lie from 0.0", "mend what was read"),
        case(labels, SPARSE, x=with_value(1e30, 9)),
    ),
    "broken cells in two features, for a model that normalises": (
        "feature_scales",
        ("2 of 40 examples (rows 2, 3) of feature 1 (counted", "likewise in 2 (-5e+12)"),
        case(
            labels,
            SPARSE,
            x=lambda n: with_value(1e12, 2, 3)(n) - np.outer(np.arange(n) == n - 33, [0, 0, 5e12]),
            layers=("BatchNormalization",),
        ),
    ),
    "a row number": (
        "row_numbers",
        ("1 of 4 (number 3, counted from 0) that numbers", "from 0 to 39"),
        case(
            labels,
            SPARSE,
            x=lambda n: np.column_stack([features(3)(n), np.arange(n) + (n != NUM_TRAIN) * 40]),
            inputs=(FOUR_FEATURES,),
        ),
    ),
    "a row number of what is forecast, in no order of time": (
        "row_numbers",
        ("number 3,",),
        case(
            lambda n: np.linspace(-3, 3, n),
            regression("MeanSquaredError"),
            x=lambda n: np.column_stack([features(3)(n), np.arange(n)[::-1]]),
            inputs=(FOUR_FEATURES,),
        ),
    ),
    "a column of zeros beside standardised ones": (
        "constant_features",
        ("1 of 4 features (number 3",),
        case(
            labels,
            SPARSE,
            x=lambda n: np.column_stack([standard(n), np.zeros(n)]),
            inputs=(FOUR_FEATURES,),
            sizes=(NUM_TRAIN, 36),
        ),
    ),
    "pixels that only one split has scaled": (
        "split_scales",
        ("in the inputs of the validation split", "times as large in 3 of 3 features"),
        case(labels, SPARSE, x=by_split(features(3), lambda n: features(3)(n) * 255)),
    ),
    "bytes judged by what is trained on shares": (
        "split_scales",
        ("times as small in 3 of 3 features",),
        case(labels, SPARSE, x=by_split(lambda n: features(3)(n) * 255, features(3))),
    ),
    "features that only one split has standardised": (
        "split_scales",
        ("3 of 3 features standardised in the training split, and not in the validation",),
        case(
            labels,
            SPARSE,
            x=by_split(standard, lambda n: features(3)(n) + 3),
            sizes=(NUM_TRAIN, 36),
        ),
    ),
    "standardised in one split, from 0 to 1 in the other": (
        "split_scales",
        ("standardised in the validation split, and not in the training split",),
        case(labels, SPARSE, x=by_split(features(3), standard), sizes=(NUM_TRAIN, 36)),
    ),
    "a validation split of one class": (
        "one_class",
        ("to judge by", "only class 2 in the targets of the validation split"),
        case(by_split(labels, lambda n: np.full(n, 2)), SPARSE),
    ),
    "labels that were sorted and split": (
        "unjudged_class",
        ("every class of the training split", "none of classes 0, 1 there"),
        case(by_split(labels, lambda n: 2 + bits(n)), SPARSE, sizes=(NUM_TRAIN, 39)),
    ),
    "sigmoids for one of four classes": (
        "sigmoid_of_classes",
        ("softmax over the 4 classes", "sigmoid"),
        case(labels, OutputFacts(**{**vars(SPARSE), "activation": "sigmoid"})),
    ),
    "a class without its weight": (
        "class_weight_keys",
        ("none for class 3", "one for 4, which does not occur", "{0: 1.0"),
        case(labels, SPARSE, class_weight={0: 1.0, 1: 2.0, 2: 1.0, 4: 1.0}),
    ),
    "a class of negative weight": (
        "weight_values",
        ("negative ones for class 3",),
        case(labels, SPARSE, class_weight={0: 1, 1: 1, 2: 1, 3: -1}),
    ),
    "class_weight for measured values": (
        "class_weight_keys",
        ("measured values in the targets", "rounds", "sample_weight"),
        case(lambda n: np.linspace(0, 1, n), regression("Huber"), class_weight={0: 1, 1: 2}),
    ),
    "a softmax over several labels an example": (
        "softmax_of_labels",
        ("sum to 1", "20 of 40", "activation='sigmoid'"),
        case(
            lambda n: np.eye(4)[labels(n)] + np.eye(4)[0] * (labels(n) % 2)[:, None],
            output((4,), "softmax", "BinaryCrossentropy"),
        ),
    ),
    "one measured value": (
        "constant_targets",
        ("7.5 in all 40", "which column"),
        case(lambda n: np.full(n, 7.5), regression("MeanAbsoluteError")),
    ),
    "one-hot targets of 0 and 255": (
        "one_hot_rows",
        ("40 of 40", "Divide each row by its sum."),
        case(lambda n: 255 * np.eye(4)[labels(n)], ONE_HOT),
    ),
    "BinaryAccuracy of logits": (
        "accuracy_of_logits",
        ("BinaryAccuracy for 'y'", "0.5", "Give it threshold=0.0"),
        case(
            lambda n: np.eye(4)[labels(n)],
            output(
                (4,),
                "linear",
                "BinaryCrossentropy",
                from_logits=True,
                metrics=("BinaryAccuracy",),
                share_metrics=("BinaryAccuracy",),
            ),
        ),
    ),
    "some rows that were trained on": (
        "shared_rows",
        ("2 of 20 examples (rows 4, 5), 10 %",),
        case(labels, SPARSE, x=sharing(2)),
    ),
    "rows that repeat each other by nature": (
        "shared_rows",
        ("20 of 20", "100 % of the rows repeat"),
        case(labels, SPARSE, x=doubled, inputs=(InputFacts("x", (30,), "float32"),)),
    ),
    "five examples to judge by": (
        "tiny_split",
        ("10 examples or more", "validation", "5 of them", "a fifth"),
        case(labels, SPARSE, sizes=(NUM_TRAIN, 5)),
    ),
    "a rare class": (
        "class_imbalance",
        ("2 examples of class 1 (5 %) beside 38 of class 0", "sample_weight", "focal"),
        case(lambda n: np.arange(n) % 20 == 0, BINARY),
    ),
    "a class of one example": (
        "class_imbalance",
        ("1 example of class 1 (2.5 %)",),
        case(lambda n: np.arange(n) == 0, BINARY),
    ),
    "a rare class, one-hot": (
        "class_imbalance",
        ("2 examples of class 1 (5 %)", "beside 36 of class 0"),
        case(
            lambda n: np.eye(3)[np.select([np.arange(n) % 20 == k for k in (1, 2)], [1, 2], 0)],
            output((3,), "softmax", "CategoricalCrossentropy"),
        ),
    ),
    "a class without examples": (
        "missing_class",
        ("all 4 classes of 'y'", "none of class 2 in any split"),
        case(lambda n: np.array([0, 1, 3])[np.arange(n) % 3], SPARSE),
    ),
    "two classes without examples": (
        "missing_class",
        ("none of classes 2, 3",),
        case(lambda n: np.eye(4)[bits(n)], ONE_HOT),
    ),
    "a column of ones": (
        "constant_features",
        ("1 of 4 features (number 3, counted from 0)", "bias"),
        case(labels, SPARSE, x=with_column(1), inputs=(InputFacts("x", (4,), "float32"),)),
    ),
    "a column of zeros": (
        "constant_features",
        ("1 of 4 features",),
        case(labels, SPARSE, x=with_column(0), inputs=(InputFacts("x", (4,), "float32"),)),
    ),
    "a column that is constant for every step": (
        "constant_features",
        ("2 of 3 features (numbers 1, 2",),
        case(
            labels,
            SPARSE,
            x=lambda n: features(5, 3)(n) * [1, 0, 0] + [0, 7, 9],
            inputs=(InputFacts("x", (5, 3), "float32"),),
        ),
    ),
    "sorted labels that nobody shuffles": (
        "sorted_labels",
        ("4 of them in 40 examples of 4 classes", "shuffle=False"),
        case(lambda n: np.sort(labels(n)), SPARSE, is_shuffled=False),
    ),
    "sorted one-hot labels that nobody shuffles": (
        "sorted_labels",
        ("4 of them",),
        case(lambda n: np.eye(4)[np.sort(labels(n))], ONE_HOT, is_shuffled=False),
    ),
    "measured values above a sigmoid": (
        "reachable_targets",
        ("from 0 to 1, as 'y' ends in sigmoid", "30 of 40", "without an activation"),
        case(lambda n: counts(n, 1), regression("MeanSquaredError", "sigmoid")),
    ),
    "negative values of ReLU": (
        "reachable_targets",
        ("of 0 or more", "rows 3, 9"),
        case(lambda n: counts(n, -1), regression("Huber", "relu")),
    ),
    "the accuracy of logits": (
        "accuracy_of_logits",
        ("compares with 0.5", "'threshold': 0.0"),
        case(
            bits,
            output(
                (1,), "linear", "BinaryCrossentropy", from_logits=True, metrics=("Accuracy", "AUC")
            ),
        ),
    ),
    "vectors of zeros": (
        "zero_vectors",
        ("direction", "1 of 40 examples (row 5)"),
        case(lambda n: shares(n, 0), output((4,), "linear", "CosineSimilarity")),
    ),
    "distributions that sum to 2": (
        "one_hot_rows",
        ("row 5",),
        case(lambda n: shares(n, 0.5), output((4,), "softmax", "KLDivergence")),
    ),
    "negative weights": (
        "weight_values",
        ("negative ones in 1 of 40 examples (row 0)",),
        case(labels, SPARSE, weight=lambda n: np.where(np.arange(n) < (n > 20), -1.0, 1.0)),
    ),
    "pixels as floats that nobody scales": (
        "unscaled_inputs",
        ("pixels (float32) up to 254",),
        case(labels, SPARSE, x=lambda n: np.floor(features(4, 4, 1)(n) * 255), inputs=IMAGE),
    ),
}
