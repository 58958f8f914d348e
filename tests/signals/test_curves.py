"""What curves show: each signal on a curve made to show it, none on healthy ones."""

import math

import numpy as np
import pytest

from slipstream.record import Point
from slipstream.signals import found_over


def points(train, held_out, **others):
    """Return evaluations with these losses, one an epoch."""
    return [
        Point(
            step=10 * (i + 1),
            epoch=i + 1,
            seconds=i,
            values={
                "loss": loss,
                "val_loss": judged,
                **{name: values[i] for name, values in others.items()},
            },
        )
        for i, (loss, judged) in enumerate(zip(train, held_out, strict=True))
    ]


def told(points_, monitor="val_loss", mode="min"):
    return [(signal.kind, signal.epoch) for signal in found_over(points_, monitor, mode)]


FALLING = [1.0, 0.8, 0.7, 0.65, 0.62, 0.58, 0.55, 0.52]


def test_rising_validation_loss_while_training_still_improves():
    held_out = [1.0, 0.85, 0.8, 0.75, 0.85, 0.9, 0.95, 1.0]
    assert told(points(FALLING, held_out)) == [("overfitting", 7.0)]
    (signal,) = found_over(points(FALLING, held_out), "val_loss", "min")
    assert signal.step == 70
    assert "0.75 at epoch 4 to 0.95" in signal.seen
    assert "patience" in signal.advice


@pytest.mark.parametrize(
    ("train", "held_out"),
    [
        # It levels off, a little worse than its best.
        (FALLING, [1.0, 0.85, 0.8, 0.75, 0.76, 0.77, 0.78, 0.79]),
        # Both get worse: no overfitting, and not yet diverging.
        ([1.0, 0.5, 0.4, 0.6, 0.7, 0.7, 0.7, 0.7], [1.0, 0.5, 0.4, 0.6, 0.7, 0.7, 0.7, 0.7]),
        # Close to zero every wobble is a large part of the value.
        (
            [1.0, 0.1, 0.01, 0.005, 0.004, 0.003, 0.002, 0.001],
            [1.0, 0.12, 0.03, 0.02, 0.018, 0.02, 0.017, 0.031],
        ),
        # The end of a run that has learnt nearly all there is.
        (
            [1.5, 0.4, 0.1, 0.05, 0.026, 0.022, 0.02, 0.018],
            [1.5, 0.4, 0.12, 0.09, 0.07, 0.078, 0.082, 0.087],
        ),
        # One poor evaluation.
        (FALLING, [1.0, 0.85, 0.8, 0.75, 0.95, 0.7, 0.68, 0.67]),
    ],
)
def test_healthy_curves_are_left_alone(train, held_out):
    assert told(points(train, held_out)) == []


@pytest.mark.parametrize("seed", range(20))
def test_noise_around_a_healthy_descent_tells_nothing(seed):
    generator = np.random.default_rng(seed)
    clean = 0.3 + np.exp(-np.arange(30) / 5)
    train = (clean * generator.uniform(0.95, 1.05, 30)).tolist()
    held_out = (1.1 * clean * generator.uniform(0.93, 1.07, 30)).tolist()
    assert told(points(train, held_out)) == []


def test_a_gap_between_training_and_validation():
    accuracy, held_out = [0.5, 0.8, 0.95, 0.99, 1.0], [0.5, 0.6, 0.62, 0.62, 0.62]
    curves = points(FALLING[:5], FALLING[:5], accuracy=accuracy, val_accuracy=held_out)
    assert told(curves, "val_accuracy", "max") == [("generalization_gap", 4.0)]
    closer = points(FALLING[:5], FALLING[:5], accuracy=accuracy, val_accuracy=accuracy)
    assert told(closer, "val_accuracy", "max") == []
    losses = points([1.0, 0.5, 0.3, 0.2, 0.2], [1.0, 0.8, 0.75, 0.7, 0.7])
    assert told(losses) == [("generalization_gap", 5.0)]


def test_every_spike_is_told():
    held_out = [1.0, 0.8, 0.7, 0.6, 1.4, 0.5, 0.5, 0.5, 2.0]
    train = [1.0, 0.8, 0.7, 0.6, 0.6, 0.5, 0.5, 0.5, 0.5]
    assert told(points(train, held_out)) == [("validation_spike", 5.0), ("validation_spike", 9.0)]


def test_a_validation_loss_that_is_not_finite_is_told_once():
    held_out = [1.0, math.nan, math.inf, 0.7, math.nan, 0.6, 0.6, 0.6]
    told_ = found_over(points(FALLING, held_out, accuracy=FALLING), "val_accuracy", "max")
    assert [(signal.kind, signal.step) for signal in told_] == [("validation_not_finite", 20)]
    assert told_[0].seen == "a validation loss of nan"
    assert told(points([1.0, math.nan], [1.0, math.nan])) == [("divergence", 2.0)]


def test_divergence():
    rising = [1.0, 1.1, 2.0, 4.0]
    assert told(points(rising, rising)) == [("divergence", 4.0)]
    ended = [1.0, math.nan]
    assert told(points(ended, ended)) == [("divergence", 2.0)]
    # A step that float16 skipped logs its loss all the same.
    assert told(points(ended, [1.0, 0.9])) == []
