"""What does a callback with a hook of each batch cost under `slipstream.fit`, against Keras' fit?

Both train the same net on the same backend in one process, in turns, with a callback that does
nothing, with TerminateOnNaN, or without any callback. Prints examples per second, the median of
the windows and their range, and the median ratio of neighbours with the range of ratios.

    python bench/each_batch.py                                   # dense net, all backends
    python bench/each_batch.py --net cnn --backends torch --data tf --windows 5
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from nets import BATCH, BUILDERS, SHAPES, arrays, compiled

BACKENDS = ("tensorflow", "jax", "torch")
CALLBACKS = ("lambda", "nan", "none")


def main() -> int:
    """Start a process for each backend, or be one of them."""
    arguments = parse_arguments()
    if arguments.here:
        measure_here(arguments)
        return 0
    for backend in arguments.backends.split(","):
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, __file__, *sys.argv[1:], "--here"]
        if subprocess.run(command, env=environment, check=False).returncode:
            return 1
    return 0


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", choices=list(BUILDERS), default="mlp")
    parser.add_argument("--backends", default=",".join(BACKENDS))
    parser.add_argument("--callbacks", default="lambda,nan", help=", ".join(CALLBACKS))
    parser.add_argument("--data", choices=("arrays", "tf"), default="arrays")
    parser.add_argument("--windows", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a window, about")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure_here(arguments: argparse.Namespace) -> None:
    """Measure every callback on the backend of this process, and print a line for each."""
    import keras

    import slipstream

    sides: dict[str, Callable[..., Any]] = {
        "Keras": keras.Model.fit,
        "Slipstream": slipstream.fit,
    }
    for name in arguments.callbacks.split(","):
        trained = {side: trainer(fit, arguments, name) for side, fit in sides.items()}
        speeds: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(arguments.windows):
            for side, train in trained.items():
                speeds[side].append(train(arguments.seconds))
        ratios = [a / b for a, b in zip(speeds["Slipstream"], speeds["Keras"], strict=True)]
        told = ", ".join(f"{side} {spread(values, ',.0f')}" for side, values in speeds.items())
        backend = keras.backend.backend()
        print(f"{backend:10} {name:6} {told} examples/s; ratio {spread(ratios, '.2f')}", flush=True)


def trainer(
    fit: Callable[..., Any], arguments: argparse.Namespace, name: str
) -> Callable[[float], float]:
    """Return what trains a net of its own for so many seconds, and returns examples per second."""
    import keras

    keras.utils.set_random_seed(0)
    model = compiled(arguments.net)
    x, y = arrays(arguments.net)
    given: dict[str, Any] = {"x": x, "y": y, "batch_size": BATCH}
    if arguments.data == "tf":
        import tensorflow as tf

        given = {"x": tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH).prefetch(2)}

    def run(epochs: int) -> float:
        callbacks = {
            "lambda": [keras.callbacks.LambdaCallback(on_train_batch_end=nothing)],
            "nan": [keras.callbacks.TerminateOnNaN()],
            "none": [],
        }[name]
        start = time.perf_counter()
        fit(model, **given, epochs=epochs, verbose=0, callbacks=callbacks)
        return (time.perf_counter() - start) / epochs

    run(1)
    epoch_seconds = run(2)

    def train(seconds: float) -> float:
        return SHAPES[arguments.net][1] / run(max(1, round(seconds / epoch_seconds)))

    return train


def nothing(batch: int, logs: dict[str, float]) -> None:
    """Stand for a callback that only has to be called."""
    del batch, logs


def spread(values: list[float], form: str) -> str:
    """Return the median of some values and their range."""
    return f"{median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


if __name__ == "__main__":
    sys.exit(main())
