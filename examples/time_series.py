"""A time series: life expectancy of 142 countries, five years ahead.

    python examples/time_series.py

Gapminder's table, as Plotly ships it: twelve values a country, 1952 to 2007. A GRU reads five of
them and says the next; it has to beat "no change" and "the last change once more" on countries
that it never saw.
"""

from __future__ import annotations

import csv
import gzip
from importlib import resources

import keras
import numpy as np
from keras import layers

import slipstream

WINDOW = 5


def load_series() -> np.ndarray:
    """Return life expectancy in years, of shape (countries, 12), in a fixed random order."""
    file = resources.files("plotly") / "package_data" / "datasets" / "gapminder.csv.gz"
    rows = csv.DictReader(gzip.decompress(file.read_bytes()).decode().splitlines())
    by_country: dict[str, list[float]] = {}
    for row in rows:
        by_country.setdefault(row["country"], []).append(float(row["lifeExp"]))
    series = np.array(list(by_country.values()), dtype="float32")
    return np.random.default_rng(0).permutation(series)


def windows(series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, 5, 2) past values with their changes, in decades, and (N, 1) changes to come."""
    cut = np.lib.stride_tricks.sliding_window_view(series, WINDOW + 2, axis=1)
    cut = cut.reshape(-1, WINDOW + 2)
    changes = np.diff(cut, axis=1)
    x = np.stack([cut[:, 1:-1] / 10 - 6, changes[:, :-1] / 2], axis=-1)
    return x, changes[:, -1:]


def main() -> None:
    """Train on 100 countries and judge on the other 42."""
    keras.utils.set_random_seed(0)
    series = load_series()
    (x, y), (x_test, y_test) = windows(series[:100]), windows(series[100:])
    model = keras.Sequential([keras.Input((WINDOW, 2)), layers.GRU(24), layers.Dense(1)])
    model.compile(keras.optimizers.Adam(3e-3, global_clipnorm=1.0), loss="mean_absolute_error")
    history = slipstream.fit(model, x, y, batch_size=32, epochs=25, verbose=0)
    error = float(model.evaluate(x_test, y_test, verbose=0))
    no_change = float(np.abs(y_test).mean())
    once_more = float(np.abs(y_test - x_test[:, -1, 1:] * 2).mean())
    print(f"loop: {history.slipstream.loop}, {history.slipstream.updates} updates")
    print(f"{len(x)} windows to learn from, {len(x_test)} to judge on")
    print(f"mean error in years: GRU {error:.3f}, last change once more {once_more:.3f}, ", end="")
    print(f"no change {no_change:.3f}")
    assert error < no_change, "no better than saying that nothing changes"
    assert error < once_more, "no better than the last change once more"


if __name__ == "__main__":
    main()
