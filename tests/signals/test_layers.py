"""What looks into layers show, told from their numbers alone."""

import math
from dataclasses import replace

import pytest

from slipstream.signals import Activation, Gradient, Layers, found_in_layers


def look(step, rms=(0.1, 0.2, 0.1), dead=0.0, weight_norm=5.0, **changes):
    """Return a look into a net of kernels with such gradients and one layer that rectifies."""
    gradients = tuple(
        Gradient(f"dense_{i}/kernel", 10 * value, value, weight_norm, is_kernel=True)
        for i, value in enumerate(rms)
    )
    activations = (Activation("relu", dead, 0.3, 0.5), Activation("logits", None, 0.0, 1.0))
    return replace(Layers(step, step / 10, 1.0, gradients, activations), **changes)


def told(*looks):
    return [signal.kind for signal in found_in_layers(looks)]


def test_a_healthy_net_shows_nothing():
    assert told(look(0), look(10), look(20, rms=(0.01, 0.3, 0.4), dead=0.3)) == []


def test_dead_units():
    (signal,) = found_in_layers([look(0), look(10, dead=0.75)])
    assert (signal.kind, signal.epoch, signal.step) == ("dead_units", 1.0, 10)
    assert "75% of relu" in signal.seen


def test_vanishing_gradients_have_to_last():
    small = (1e-9, 0.2, 0.3)
    assert told(look(0, rms=small), look(10)) == []
    # Branches that begin at zero have no gradient at the start.
    assert told(look(0, rms=small), look(10, rms=small)) == []
    assert told(look(0), look(10, rms=small), look(20, rms=small)) == ["vanishing_gradients"]
    assert told(look(0), look(10, rms=small), look(20)) == []
    biases = tuple(replace(one, is_kernel=False) for one in look(10, rms=small).gradients)
    assert told(look(10, gradients=biases), look(20, gradients=biases)) == []


@pytest.mark.parametrize(
    ("before", "last"),
    [
        (look(0), look(10, rms=(math.nan, 0.1, 0.1))),
        (look(0), look(10, rms=(math.inf, 0.1, 0.1))),
        # Larger than the weights by far, from the start.
        (look(0, rms=(1e4, 1e4, 1e4)), look(10, rms=(1e4, 1e4, 1e4))),
        # Larger by far than ever before.
        (look(0, weight_norm=500.0), look(10, rms=(50.0, 60.0, 40.0), weight_norm=500.0)),
    ],
)
def test_exploding_gradients(before, last):
    assert told(before, last) == ["exploding_gradients"]
    assert told(before, before, look(20)) == []
