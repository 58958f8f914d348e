"""Tables of throughput: medians of windows, ratios with intervals, and whether floors are met."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

RESAMPLES = 10_000
MOST_MEMORY = 1.10
NETS_WITH_FLOORS = ("mlp", "cnn", "lstm", "transformer")

Entry = Mapping[str, Any]
Choose = Callable[[Entry], bool]


@dataclass(frozen=True)
class Ratio:
    """A ratio of medians with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return it as tables show it."""
        return f"{self.value:.2f}x ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Row:
    """One line of the table of floors: which sides of ours against which of others."""

    title: str
    ours: Choose
    others: Choose
    floors: tuple[float, float, float, float]


def _is(**wanted: str) -> Choose:
    return lambda entry: all(entry[key] == value for key, value in wanted.items())


OURS = _is(family="slipstream")
ROWS = (
    Row(
        "Keras fit on TensorFlow as it comes, fp32 on both sides",
        _is(family="slipstream", precision="fp32"),
        _is(family="keras", backend="tensorflow", precision="fp32"),
        (6.0, 1.4, 2.3, 1.6),
    ),
    Row(
        "the same, precision free",
        OURS,
        _is(family="keras", backend="tensorflow", precision="fp32"),
        (6.0, 2.5, 3.5, 2.6),
    ),
    Row(
        "the best Keras backend as it comes, precision free",
        OURS,
        _is(family="keras", precision="fp32"),
        (1.15, 2.4, 2.4, 2.2),
    ),
    Row(
        "the best hand-written loop, fp32 on both sides",
        _is(family="slipstream", precision="fp32"),
        _is(family="hand", precision="fp32"),
        (1.0, 1.0, 1.0, 1.0),
    ),
    Row(
        "the best hand-written loop, bf16 on both sides",
        _is(family="slipstream", precision="bf16"),
        _is(family="hand", precision="bf16"),
        (1.0, 1.0, 1.0, 1.0),
    ),
)


def print_tables(results: Mapping[str, Any]) -> None:
    """Print everything that the results show, as Markdown."""
    machine = results["environment"]["machine"]
    gpu = f" and {machine['gpu']}" if "gpu" in machine else ""
    print(f"\n{machine['processor']}, {machine['logical_cores']} cores{gpu}; windows of", end=" ")
    print(f"{results['seconds']:g} s, interleaved; examples/s, batch 64")
    for net, entries in results["nets"].items():
        load = results.get("load", {}).get(net)
        print_net(net, list(entries.values()), load)
    print_floors(results["nets"])
    print_same_backend(results["nets"])


def print_net(net: str, entries: list[Entry], load: list[float] | None) -> None:
    """Print the sides of one net, the fastest first."""
    told = f"; load of the machine {min(load):.1f} to {max(load):.1f}" if load else ""
    print(f"\n## {net}{told}\n")
    print("| side | examples/s | least | most | windows | MB at most | GPU MB | start, s |")
    print("|---|---|---|---|---|---|---|---|")
    for entry in sorted(measured(entries), key=median, reverse=True):
        windows = entry["windows"]
        numbers = [
            f"{median(entry):,.0f}",
            f"{min(windows):,.0f}",
            f"{max(windows):,.0f}",
            str(len(windows)),
            f"{entry['peak_memory_bytes'] / 1e6:,.0f}",
            f"{entry.get('peak_device_bytes', 0) / 1e6:,.0f}",
            f"{entry['start_seconds']:.1f}",
        ]
        print(f"| {name(entry)} | {' | '.join(numbers)} |")
    for entry in entries:
        if entry["error"]:
            print(f"\n{name(entry)} failed: {entry['error']}")


def print_floors(nets: Mapping[str, Mapping[str, Entry]]) -> None:
    """Print each ratio beside its floor."""
    print("\n## Slipstream's engine against others\n")
    print("| against | net | ratio (95 %) | floor | | fastest of ours | fastest of theirs |")
    print("|---|---|---|---|---|---|---|")
    for row in ROWS:
        for net, entries in nets.items():
            ours = fastest(filter(row.ours, entries.values()))
            theirs = fastest(filter(row.others, entries.values()))
            if ours is None or theirs is None:
                continue
            ratio = ratio_of(ours, theirs)
            floor, met = "", ""
            if net in NETS_WITH_FLOORS:
                wanted = row.floors[NETS_WITH_FLOORS.index(net)]
                floor, met = f"{wanted:g}x", "met" if ratio.value >= wanted else "**missed**"
            cells = (row.title, net, str(ratio), floor, met, name(ours), name(theirs))
            print(f"| {' | '.join(cells)} |")


def print_same_backend(nets: Mapping[str, Mapping[str, Entry]]) -> None:
    """Print speed and memory against Keras' fit on the same backend at the same precision."""
    print("\n## Against Keras' fit on the same backend, at the same precision\n")
    print("| net | side | speed (95 %) | peak memory | at most 1.10 |")
    print("|---|---|---|---|---|")
    for net, entries in nets.items():
        for entry in measured(entries.values()):
            if entry["family"] not in ("slipstream", "drop-in"):
                continue
            same = _is(family="keras", backend=entry["backend"], precision=entry["precision"])
            keras = fastest(filter(same, entries.values()))
            if keras is None:
                continue
            memory = entry["peak_memory_bytes"] / keras["peak_memory_bytes"]
            met = "met" if memory <= MOST_MEMORY else "**missed**"
            cells = (net, name(entry), str(ratio_of(entry, keras)), f"{memory:.2f}", met)
            print(f"| {' | '.join(cells)} |")


def name(entry: Entry) -> str:
    """Return the name of a side."""
    words = (entry[key] for key in ("family", "backend", "precision", "variant"))
    return " ".join(word for word in words if word)


def measured(entries: Iterable[Entry]) -> list[Entry]:
    """Return the sides that have windows."""
    return [entry for entry in entries if entry["windows"]]


def median(entry: Entry) -> float:
    """Return the median throughput."""
    return float(np.median(entry["windows"]))


def fastest(entries: Iterable[Entry]) -> Entry | None:
    """Return the side with the highest median, if there is any."""
    return max(measured(entries), key=median, default=None)


def ratio_of(one: Entry, other: Entry) -> Ratio:
    """Return the ratio of two medians; the interval is from windows drawn anew."""
    generator = np.random.default_rng(0)
    medians = [
        np.median(generator.choice(entry["windows"], (RESAMPLES, len(entry["windows"]))), axis=1)
        for entry in (one, other)
    ]
    low, high = np.quantile(medians[0] / medians[1], (0.025, 0.975))
    return Ratio(median(one) / median(other), float(low), float(high))
