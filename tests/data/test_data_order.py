"""The order of examples: a permutation, new in every epoch, a function of seed and epoch alone."""

import subprocess
import sys

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.data.order import epoch_order

SEEDS = st.integers(0, 2**31 - 1)
EPOCHS = st.integers(0, 10_000)


@settings(max_examples=50)
@given(st.integers(0, 500), SEEDS, EPOCHS)
def test_an_order_has_every_example_once(num_examples, seed, epoch):
    order = epoch_order(num_examples, seed, epoch)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(np.sort(order), np.arange(num_examples))


@settings(max_examples=30)
@given(SEEDS, EPOCHS)
def test_an_order_is_a_function_of_seed_and_epoch(seed, epoch):
    before = epoch_order(100, seed, epoch)
    np.random.seed(epoch)
    np.testing.assert_array_equal(epoch_order(100, seed, epoch), before)


@settings(max_examples=30)
@given(SEEDS, EPOCHS)
def test_orders_differ_between_epochs_and_seeds(seed, epoch):
    order = epoch_order(100, seed, epoch)
    assert (order != epoch_order(100, seed, epoch + 1)).any()
    assert (order != epoch_order(100, seed + 1, epoch)).any()
    # Seed and epoch are not exchangeable, as they would be in seed + epoch.
    if seed != epoch:
        assert (order != epoch_order(100, epoch, seed)).any()


def test_another_process_sees_the_same_order():
    code = "from slipstream.data.order import epoch_order; print(epoch_order(20, 3, 5).tolist())"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == str(epoch_order(20, 3, 5).tolist())


def test_all_positions_are_equally_likely():
    first = np.array([epoch_order(10, 0, epoch)[0] for epoch in range(5_000)])
    counts = np.bincount(first, minlength=10)
    # Chi-squared with 9 degrees of freedom is below 27.9 in 99.9 % of cases.
    assert ((counts - 500) ** 2 / 500).sum() < 27.9
