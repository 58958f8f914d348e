"""The process of one side: trains for as long as it is told, and says how fast that was.

Started by throughput.py with the side as JSON. Reads a line with a number of seconds, answers with
a line of JSON, until nobody asks any more.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nets import BATCH, SHAPES, arrays, compiled

# Trains so many epochs; returns the examples in them.
Train = Callable[[int], int]


def main() -> None:
    """Prepare the side, then answer."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    order = json.loads(sys.argv[1])
    start = time.perf_counter()
    train = prepare(order)
    train(1)
    print(json.dumps({"start_seconds": time.perf_counter() - start}), file=answers)
    epoch_seconds = timed(train, 1)[1]
    for line in sys.stdin:
        # As many epochs at once as fill the window: a call of fit has a cost of its own.
        epochs = max(1, round(float(line) / epoch_seconds))
        examples, seconds = timed(train, epochs)
        epoch_seconds = seconds / epochs
        answer = {
            "examples_per_second": examples / seconds,
            "peak_memory_bytes": peak_memory_bytes(),
            "peak_device_bytes": peak_device_bytes(),
        }
        print(json.dumps(answer), file=answers)


def timed(train: Train, epochs: int) -> tuple[int, float]:
    """Return the examples of some epochs and the seconds they took."""
    start = time.perf_counter()
    examples = train(epochs)
    wait_for_the_gpu()
    return examples, time.perf_counter() - start


def peak_memory_bytes() -> int:
    """Return the most resident memory of this process, read without importing Slipstream."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def wait_for_the_gpu() -> None:
    """Wait until a GPU has done all it was given; JAX's loops and Keras' fit wait by themselves."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_device_bytes() -> int:
    """Return the most memory of a GPU that this process has held; 0 without one."""
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
    if torch is not None and torch.cuda.is_available():
        return int(torch.cuda.max_memory_reserved())
    if jax is not None:
        return int((jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0))
    return 0


def prepare(order: dict[str, str]) -> Train:
    """Return what trains the net as the side does."""
    if order["family"] == "hand":
        return hand_written(order)
    set_precision(order)
    model = compiled(order["net"])
    x, y = arrays(order["net"])
    fit = model.fit
    if order["family"] == "drop-in":
        fit = drop_in(model)

    def train(epochs: int) -> int:
        fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0)
        return epochs * SHAPES[order["net"]][1]

    return train


def drop_in(model: Any) -> Callable[..., Any]:
    """Return Slipstream's stand-in for `model.fit`."""
    import slipstream

    def fit(x: Any, y: Any, **settings: Any) -> Any:
        return slipstream.fit(model, x, y, **settings)

    return fit


def set_precision(order: dict[str, str]) -> None:
    """Switch on what Keras, or TensorFlow, offers for bfloat16."""
    import keras

    if order["precision"] == "fp32":
        return
    if order["backend"] == "tensorflow":
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})
    else:
        keras.config.set_dtype_policy("mixed_bfloat16")


def hand_written(order: dict[str, str]) -> Train:
    """Return the hand-written loop that the side names."""
    if order["backend"] == "torch":
        from hand_written.torch_loops import epoch_function
    else:
        from hand_written.jax_loops import epoch_function
    variant = f"{order['variant']} {order['precision']}"
    epoch = epoch_function(order["net"], variant, arrays(order["net"]))
    return lambda epochs: sum(epoch() for _ in range(epochs))


if __name__ == "__main__":
    main()
