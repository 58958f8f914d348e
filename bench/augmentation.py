"""What augmentation costs, and where: on the host, read ahead beside the step, or in the step.

python bench/augmentation.py [--backend jax] [--net cnn] [--seconds 1]

Prints, for each backend, the speed of a training with one kind of augmentation as a share of the
speed without any, measured in the same process right before and after.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

BACKENDS = ("torch", "tensorflow", "jax")
SHAPES = {"dense": (28, 28, 1), "cnn": (28, 28, 1), "colour": (64, 64, 3)}
A = "augmentation."
KINDS = {
    "moves": {A + "shift": 2, A + "flip": True},
    "resized_crop": {A + "resized_crop": 0.35},
    "erase": {A + "erase": 0.5},
    "mixup": {A + "mixup": 0.2},
    "cutmix": {A + "cutmix": 1.0},
    "moves, erase, mixup": {A + "shift": 2, A + "flip": True, A + "erase": 0.5, A + "mixup": 0.2},
    "rand_augment": {A + "rand_ops": 2},
    "augmix": {A + "augmix": 3},
}
HOST_ALONE = ("rand_augment", "augmix")
PLACES = {
    "host": {A + "place": "host", "data.prefetch": 0},
    "host, read ahead": {A + "place": "host", "data.prefetch": 2},
    "step": {A + "place": "device", "data.prefetch": 0},
    "step, data on the device": {"data.cache": "device"},
}


def main() -> None:
    """Measure every backend in a process of its own."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--backend", choices=BACKENDS)
    options.add_argument("--net", choices=SHAPES, default="dense")
    options.add_argument("--seconds", type=float, default=1.0)
    options.add_argument("--kinds", nargs="*", choices=list(KINDS))
    chosen = options.parse_args()
    if chosen.backend and os.environ.get("KERAS_BACKEND") == chosen.backend:
        measure(chosen)
        return
    for backend in [chosen.backend] if chosen.backend else BACKENDS:
        command = [sys.executable, __file__, "--backend", backend, "--net", chosen.net]
        command += ["--seconds", str(chosen.seconds)]
        command += ["--kinds", *chosen.kinds] if chosen.kinds else []
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": backend}
        subprocess.run(command, env={**os.environ, **quiet}, check=True)


def measure(chosen: argparse.Namespace) -> None:
    """Print the table of this process's backend."""
    import numpy as np

    from slipstream.data.splits import Data, Split
    from slipstream.engine.probe import Probe
    from slipstream.plan import Plan
    from slipstream.task import Task

    shape = SHAPES[chosen.net]
    source = np.random.default_rng(0)
    split = Split(source.random((4096, *shape), "float32"), source.integers(0, 10, 4096))
    data = Data(split, split.take(np.arange(64)))
    task = Task(
        model=lambda: net(chosen.net, shape),
        data=lambda: data,
        loss={"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}},
    )
    base = Plan().edit(
        {
            "runtime.backend": chosen.backend,
            "batch.size": 64,
            "runtime.jit": "off" if chosen.backend == "tensorflow" else "auto",
            "runtime.steps_per_execution": 8 if chosen.net == "dense" else 1,
        }
    )

    def opened(changes: dict) -> Probe:
        return Probe(task, base.edit(changes), data)

    plain = opened({"data.prefetch": 0})
    print(f"== {chosen.backend}, {chosen.net}: {speed(plain, chosen.seconds):.0f} examples/s plain")
    for kind, changes in KINDS.items():
        if chosen.kinds and kind not in chosen.kinds:
            continue
        shares = []
        for place, where in PLACES.items():
            if kind in HOST_ALONE and not place.startswith("host"):
                continue
            probe = opened({**changes, **where})
            # A B A B: what else the machine does gets into both alike.
            ratios = []
            for _ in range(2):
                plainly = speed(plain, chosen.seconds / 2)
                ratios.append(speed(probe, chosen.seconds / 2) / plainly)
            shares.append(f"{place} {statistics.fmean(ratios):.2f}")
        print(f"{kind:<22}{'   '.join(shares)}", flush=True)


def speed(probe: object, seconds: float) -> float:
    """Return examples per second, the median over windows."""
    return statistics.median(probe.measure(seconds, windows=3))  # type: ignore[attr-defined]


def net(name: str, shape: tuple[int, int, int]) -> object:
    """Return a dense net, or a convolutional one."""
    import keras
    from keras import layers

    if name == "dense":
        hidden = [layers.Flatten(), layers.Dense(128, activation="relu")]
    else:
        hidden = [
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
        ]
    return keras.Sequential([keras.Input(shape), *hidden, layers.Dense(10)])


if __name__ == "__main__":
    main()
