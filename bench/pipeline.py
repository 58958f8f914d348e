"""What does a data set of image files cost, and what do caches and reading ahead save?

Writes a folder of JPEGs once (20,000 for training and 2,000 for validation, 96 x 96) and measures,
each in a process of its own:

- epochs: the seconds of the first and the second epoch of examples alone, from each cache;
- budget: training within a memory budget of a quarter of the decoded examples, in turns with an
  unlimited cache: the speed after the first epoch, and the memory that the training came to hold;
- waits: the steps that waited for examples, decoded anew, where decoding is faster than the model;
- bounds: what the records of three nets say bounds them, each built to be bound by something else.

    python bench/pipeline.py                      # all of it, on torch: about five minutes
    python bench/pipeline.py --only epochs --backend jax --images 5000
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

SIDE = 96
CLASSES = 10
BATCH = 64
MEASURES = ("epochs", "budget", "waits", "bounds")
CACHES = ("host", "hybrid", "disk", "none")
# A budget below it holds what is under way, and hardly an example besides.
FEWEST_MIB = 128


def main() -> int:
    """Write the images, start a process for each measurement, and print what they say."""
    arguments = parse_arguments()
    if arguments.here:
        json.dump(HERE[arguments.here](arguments), sys.stdout)
        return 0
    folder = images(arguments.images)
    print(f"{arguments.images:,} JPEGs of {SIDE} x {SIDE} in {CLASSES} classes, {mib(folder)} MiB")
    print(f"decoded: {decoded_bytes(arguments.images) / 2**20:,.0f} MiB; on {arguments.backend}")
    measures = {"epochs": epochs, "budget": budget, "waits": waits, "bounds": bounds}
    for name in arguments.only.split(","):
        print(f"\n{name}")
        measures[name](arguments)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(MEASURES), help=", ".join(MEASURES))
    parser.add_argument("--backend", default="torch", help="tensorflow, jax or torch")
    parser.add_argument("--images", type=int, default=20_000, help="for training")
    parser.add_argument("--rounds", type=int, default=2, help="of budget against no budget")
    parser.add_argument("--cache", default="host", help=argparse.SUPPRESS)
    parser.add_argument("--here", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


# The measurements, as they are told.


def epochs(arguments: argparse.Namespace) -> None:
    """Print the seconds of epochs of examples alone."""
    print("cache    first   second    third   first / second")
    for cache in CACHES:
        if cache == "hybrid" and budget_mib(arguments) < FEWEST_MIB:
            print(f"{cache:6} needs --images {fewest_images():,}: a quarter of fewer is no budget")
            continue
        first, second, third = started(arguments, "epochs", cache)
        print(f"{cache:6} {first:7.2f}s {second:7.3f}s {third:7.3f}s   {first / second:6.1f}x")


def budget(arguments: argparse.Namespace) -> None:
    """Print speed and memory within a budget, against an unlimited cache, in turns."""
    if budget_mib(arguments) < FEWEST_MIB:
        print(f"needs --images {fewest_images():,}: a quarter of fewer is no budget")
        return
    found: dict[str, list[Any]] = {"host": [], "hybrid": []}
    for turn in range(arguments.rounds):
        for cache in ("host", "hybrid") if turn % 2 == 0 else ("hybrid", "host"):
            found[cache].append(started(arguments, "budget", cache))
    print("cache             first epoch   later epochs     memory taken")
    for cache, label in (("host", "unlimited"), ("hybrid", f"{budget_mib(arguments)} MiB")):
        first = median(run["first"] for run in found[cache])
        later = median(run["later"] for run in found[cache])
        taken = max(run["taken_bytes"] for run in found[cache]) / 2**20
        print(f"{label:16} {first:8,.0f} /s {later:12,.0f} /s {taken:12,.0f} MiB")
    speed = median(run["later"] for run in found["hybrid"])
    print(f"{found['hybrid'][0]['applied']}")
    print(f"speed within the budget: {speed / median(run['later'] for run in found['host']):.2f}")


def waits(arguments: argparse.Namespace) -> None:
    """Print how many steps waited."""
    seen = started(arguments, "waits", "none")
    print(
        f"decoding alone {seen['decoded']:,.0f} images/s, the model alone {seen['trained']:,.0f}; "
        f"together {seen['together']:,.0f}\n{seen['waited']} of {seen['steps']} steps waited for "
        f"more than 1 ms, {seen['waiting_share']:.2%} of the time in all; the longest "
        f"{1000 * seen['longest']:.1f} ms"
    )


def bounds(arguments: argparse.Namespace) -> None:
    """Print what bounds three nets."""
    print("built to be      found            waiting    work")
    for wanted, found, waiting, work in started(arguments, "bounds", "none"):
        print(f"{wanted:16} {found:16} {waiting:7.1%} {work:7.1%}")


def started(arguments: argparse.Namespace, measure: str, cache: str) -> Any:
    """Run one measurement in a process of its own and return what it found."""
    command = [sys.executable, __file__, "--here", measure, "--cache", cache]
    command += ["--backend", arguments.backend, "--images", str(arguments.images)]
    environment = {**os.environ, "KERAS_BACKEND": arguments.backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


# The measurements, in their own processes.


def epochs_here(arguments: argparse.Namespace) -> list[float]:
    """Go through three epochs of examples, and train on none."""
    from slipstream.engine.feed import Feed
    from slipstream.engine.pipeline import prepared

    plan = plan_of(arguments, arguments.cache)
    feed = Feed(prepared(data_of(arguments), plan).data.train, plan)
    seconds = []
    for epoch in range(3):
        start = time.perf_counter()
        num = sum(block.num_examples for block in feed.epoch(epoch))
        seconds.append(time.perf_counter() - start)
        assert num == arguments.images
    feed.close()
    return seconds


def budget_here(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train three epochs, and watch the memory of this process."""
    from slipstream.data import Data, Split
    from slipstream.engine import train

    plan = plan_of(arguments, arguments.cache).edit({"duration.epochs": 4})
    few = Split(np.zeros((256, SIDE, SIDE, 3), np.uint8), np.arange(256) % CLASSES)
    # Kernels, compilers and libraries take their memory before it is measured.
    arrays = plan_of(arguments, "host", None).edit({"duration.epochs": 1, "data.prefetch": 2})
    train(task(conv_net), arrays, data=Data(few, few))
    data = data_of(arguments)
    with watched_memory() as taken:
        record = train(task(conv_net), plan, data=data)
    ends = [point.seconds for point in record.points]
    lengths = np.diff(ends)
    return {
        "first": arguments.images / (ends[0] - record.timings.build_seconds),
        "later": arguments.images / float(np.median(lengths)),
        "taken_bytes": taken(),
        "applied": record.applied["data.cache"],
    }


def waits_here(arguments: argparse.Namespace) -> dict[str, Any]:
    """Step a net that is slower than decoding, and note when each step got its examples."""
    from slipstream.engine.build import build
    from slipstream.engine.feed import Feed
    from slipstream.engine.open_program import open_for
    from slipstream.engine.pipeline import prepared

    plan = plan_of(arguments, "none")
    data = prepared(data_of(arguments), plan).data
    feed = Feed(data.train, plan)
    program = open_for(build(task(wide_net), plan, data, 1e-3), plan, feed, data)
    rates = np.full(1, 1e-3, np.float32)
    blocks = feed.epoch(0)
    alone = next(blocks)
    for _ in range(3):
        program.train(alone.arrays, rates, 1)
        program.settle()
    num = 40
    trained = seconds_of(lambda: (program.train(alone.arrays, rates, 1), program.settle()), num)
    decoding = Feed(data.train, plan)
    ahead = decoding.epoch(0)
    decoded = seconds_of(lambda: next(ahead), num)
    decoding.close()
    waited = []
    start = time.perf_counter()
    for _ in range(3 * num):
        asked = time.perf_counter()
        block = next(blocks)
        waited.append(time.perf_counter() - asked)
        program.train(block.arrays, rates, 1)
        program.settle()
    seconds = time.perf_counter() - start
    feed.close()
    return {
        "decoded": num * BATCH / decoded,
        "trained": num * BATCH / trained,
        "together": 3 * num * BATCH / seconds,
        "steps": 3 * num,
        "waited": sum(one > 1e-3 for one in waited),
        "longest": max(waited),
        "waiting_share": sum(waited) / seconds,
    }


def bounds_here(arguments: argparse.Namespace) -> list[tuple[str, str, float, float]]:
    """Train three nets for a few seconds each, and return what their records say."""
    from slipstream.data import Data, Split
    from slipstream.engine import Limits, train

    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, 4096)
    rows = random.normal(size=(4096, 64)).astype("float32")
    arrays = Data(Split(rows, labels), Split(rows[:64], labels[:64]))
    cases: list[tuple[str, Callable[[], Any], Any, dict[str, Any]]] = [
        ("input-bound", pooled_net, data_of(arguments), {"data.cache": "none"}),
        ("overhead-bound", dense_net(8), arrays, {"batch.size": 8}),
        ("compute-bound", dense_net(2048, 2048), arrays, {"batch.size": 512}),
    ]
    found = []
    for wanted, net, data, changes in cases:
        plan = plan_of(arguments, "host", None).edit({"duration.epochs": 1000, **changes})
        record = train(task(net), plan, data=data, limits=Limits(seconds=12.0))
        assert record.bound is not None
        work = record.bound.work_share or 0.0
        found.append((wanted, record.bound.verdict, record.bound.waiting_share, work))
    return found


HERE = {"epochs": epochs_here, "budget": budget_here, "waits": waits_here, "bounds": bounds_here}


# Tasks, plans and data.


def task(model: Callable[[], Any]) -> Any:
    """Return a classification with one of the nets."""
    from slipstream import Task

    return Task(
        model=model,
        data=lambda: None,
        loss="sparse_categorical_crossentropy",
        monitor="val_loss",
    )


def conv_net() -> Any:
    """Return a small net of convolutions, with 3.7 million multiply-adds."""
    return convolutions(16, 32)


def wide_net() -> Any:
    """Return a net of convolutions that is slower than decoding."""
    return convolutions(48, 96, 192)


def convolutions(*filters: int) -> Any:
    """Return convolutions that halve the image, an average, and classes."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Rescaling(1 / 255),
            *(
                layers.Conv2D(num, 3, strides=2, padding="same", activation="relu")
                for num in filters
            ),
            layers.GlobalAveragePooling2D(),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def pooled_net() -> Any:
    """Return a net with next to nothing to do."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.AveragePooling2D(SIDE),
            layers.Flatten(),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def dense_net(*units: int) -> Callable[[], Any]:
    """Return what builds a net of dense layers."""

    def build() -> Any:
        import keras
        from keras import layers

        hidden = [layers.Dense(num, activation="relu") for num in units]
        output = layers.Dense(CLASSES, activation="softmax")
        return keras.Sequential([keras.Input((64,)), *hidden, output])

    return build


def plan_of(arguments: argparse.Namespace, cache: str, mib: int | None = 0) -> Any:
    """Return the plan: with a budget where one counts, but for mib=None."""
    from slipstream import Plan

    changes: dict[str, Any] = {
        "runtime.backend": arguments.backend,
        "runtime.jit": "off" if arguments.backend == "tensorflow" else "auto",
        "batch.size": BATCH,
        "data.cache": cache,
        "duration.restore_best": False,
    }
    if cache == "hybrid":
        changes["data.memory_budget"] = f"{budget_mib(arguments)}MiB"
    elif cache == "host" and mib is not None:
        changes["data.memory_budget"] = f"{2 * decoded_bytes(arguments.images) // 2**20}MiB"
    return Plan().edit(changes)


def data_of(arguments: argparse.Namespace) -> Any:
    """Return the folder as a data set."""
    from slipstream.data import Data, image_folder

    root = images(arguments.images)
    splits = (image_folder(root / name, size=(SIDE, SIDE)) for name in ("train", "validation"))
    return Data(*splits)


def budget_mib(arguments: argparse.Namespace) -> int:
    """Return a quarter of what all examples take, decoded."""
    return decoded_bytes(arguments.images) // 4 // 2**20


def fewest_images() -> int:
    """Return how many images for training have a quarter that is enough of a budget."""
    return -(-4 * FEWEST_MIB * 2**20 * 10 // (11 * SIDE * SIDE * 3 * 1000)) * 1000


def decoded_bytes(num_train: int) -> int:
    """Return the bytes of all examples, decoded."""
    return (num_train + num_train // 10) * SIDE * SIDE * 3


def images(num_train: int) -> Path:
    """Return the folder of images; it is written where it is not there yet."""
    from slipstream.files import cache_folder

    root = cache_folder() / "bench" / f"jpegs_{num_train}_{SIDE}"
    if not (root / "whole").exists():
        for name, num, seed in (("train", num_train, 0), ("validation", num_train // 10, 1)):
            write_images(root / name, num, seed)
        (root / "whole").touch()
    return root


def write_images(root: Path, num: int, seed: int) -> None:
    """Write smooth random images, each class with a colour of its own."""
    from PIL import Image

    random = np.random.default_rng(seed)
    coarse = random.integers(0, 160, (64, 12, 12, 3), np.uint8)
    size = (SIDE, SIDE)
    bases = [
        np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BICUBIC)) for one in coarse
    ]
    tints = np.random.default_rng(2).integers(0, 60, (CLASSES, 1, 1, 3), np.uint8)
    noise = random.integers(0, 24, (16, SIDE, SIDE, 3), np.uint8)
    for label in range(CLASSES):
        (root / f"{label}").mkdir(parents=True, exist_ok=True)
    for number in range(num):
        label = number % CLASSES
        base, grain = bases[random.integers(64)], noise[random.integers(16)]
        image = Image.fromarray(base + tints[label] + grain)
        image.save(root / f"{label}" / f"{number:06d}.jpg", quality=85)


# Seconds and memory.


def seconds_of(act: Callable[[], Any], times: int) -> float:
    """Return the seconds of doing a thing so many times."""
    start = time.perf_counter()
    for _ in range(times):
        act()
    return time.perf_counter() - start


@contextmanager
def watched_memory() -> Any:
    """Yield what returns the most memory that this process took since then, in bytes."""
    before = resident_bytes()
    most = [before]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            most[0] = max(most[0], resident_bytes())

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield lambda: most[0] - before
    finally:
        done.set()
        watching.join()


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def mib(folder: Path) -> str:
    """Return the size of the files below a folder."""
    return f"{sum(file.stat().st_size for file in folder.rglob('*.jpg')) / 2**20:,.0f}"


if __name__ == "__main__":
    sys.exit(main())
