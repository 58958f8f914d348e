"""Dropout's own draws: how often, how evenly, how large, and from which state."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from scipy import stats

from slipstream.lowering import Lowered
from slipstream.lowering._draw import MANY, Dropout

SIZE = 400_003
# Many elements are drawn by another generator than a few.
SIZES = [SIZE, MANY - 3]


def kept_of(rate: float, seed: int = 1, size: int = SIZE) -> np.ndarray:
    dropout = Dropout(rate, keras.random.SeedGenerator(seed))
    return dropout(torch.ones(size)).numpy() > 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rate", [0.001, 0.1, 0.25, 0.5, 0.9])
def test_drops_at_its_rate(rate: float, size: int) -> None:
    dropped = int(size - kept_of(rate, size=size).sum())
    assert stats.binomtest(dropped, size, rate).pvalue > 1e-4


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.8])
def test_mean_stays(rate: float) -> None:
    out = Dropout(rate, keras.random.SeedGenerator(2))(torch.ones(SIZE, dtype=torch.float64))
    deviation = np.sqrt(rate / (1 - rate) / SIZE)
    assert abs(float(out.mean()) - 1) < 4 * deviation
    # What is kept is scaled by the rate that is met, which is within 2**-17 of the one asked for.
    scale = float(out.max())
    assert abs((1 - 1 / scale) - rate) <= 2**-17
    assert set(np.unique(out.numpy())) == {0.0, scale}


@pytest.mark.parametrize("size", SIZES)
def test_neighbours_and_the_four_parts_of_a_word_are_independent(size: int) -> None:
    kept = kept_of(0.5, size=size).astype(int)
    for lag in (1, 2, 3, 4, 5, 64):
        pairs = np.bincount(2 * kept[:-lag] + kept[lag:], minlength=4)
        assert stats.chisquare(pairs).pvalue > 1e-4, lag
    by_part = np.array([kept[part::4].sum() for part in range(4)])
    assert stats.chisquare(by_part, np.full(4, by_part.mean())).pvalue > 1e-4


@pytest.mark.parametrize("size", SIZES)
def test_neighbouring_seeds_and_steps_draw_differently(size: int) -> None:
    generators = [keras.random.SeedGenerator(seed) for seed in (7, 8)]
    masks = [Dropout(0.5, g)(torch.ones(size)).numpy() > 0 for g in generators for _ in range(2)]
    for i, one in enumerate(masks):
        for other in masks[:i]:
            agreeing = int((one == other).sum())
            assert stats.binomtest(agreeing, size, 0.5).pvalue > 1e-4


def test_same_state_draws_the_same() -> None:
    model = keras.Sequential([keras.Input((50,)), keras.layers.Dropout(0.5, seed=3)])
    lowered, x = Lowered(model), torch.ones(8, 50)
    state = np.array(model.variables[0])
    first, second = lowered(x, True), lowered(x, True)
    assert not torch.equal(first, second)
    assert np.array_equal(np.array(model.variables[0]), np.add(state, [0, 2]))
    model.variables[0].assign(state)
    assert torch.equal(lowered(x, True), first)


def test_the_global_generator_is_left_alone() -> None:
    model = keras.Sequential([keras.Input((50,)), keras.layers.Dropout(0.5)])
    lowered = Lowered(model)
    before = torch.get_rng_state()
    lowered(torch.ones(8, 50), True)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_same_elements_pass_their_gradients() -> None:
    model = keras.Sequential([keras.Input((50,)), keras.layers.Dropout(0.4, seed=3)])
    x = torch.ones(8, 50, requires_grad=True)
    out = Lowered(model)(x, True)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert torch.equal(gradient, out.detach())


def test_whole_channels_are_dropped() -> None:
    model = keras.Sequential([keras.Input((9, 9, 400)), keras.layers.SpatialDropout2D(0.5, seed=3)])
    kept = (Lowered(model)(torch.ones(4, 9, 9, 400), True) > 0).float()
    share = kept.mean((1, 2))
    assert set(np.unique(share.numpy())) == {0.0, 1.0}
    assert stats.binomtest(int(share.sum()), 1600, 0.5).pvalue > 1e-4
