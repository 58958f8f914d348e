"""One run of the case study, in a process of its own: a script in plain Keras, or Slipstream.

A setup says what is put in. With the engine "keras" the run is what a person writes first for a
folder of JPEG files: `tf.data`, `Model.fit`, TensorFlow. With "slipstream" the same choices are
keys of a plan. Both clocks run from after the imports to after the last validation.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

SIDE = 28
NUM_CLASSES = 10
WARMUP = 0.05


@dataclass(frozen=True)
class Setup:
    """What a run has; the values here are the baseline's.

    Args:
        engine: "keras" is Model.fit on TensorFlow, "slipstream" its loop on PyTorch.
        precision: "float32" or "mixed_bfloat16".
        cache: Whether decoded images are kept in memory.
        prefetch: Whether files are read and decoded in parallel, ahead of the step.
        optimizer: "sgd" or "adamw".
        rate: The highest learning rate, for batches of 32.
        schedule: "constant", or "cosine" after a warm-up.
        batch: Examples per update; the rate follows, by the ratio for SGD and its root for AdamW.
        l2: Penalty on every kernel.
        base: "large" has a hidden layer on many features, "small" pools and normalizes instead.
        epochs: Passes over the training images.
    """

    engine: str = "keras"
    precision: str = "float32"
    cache: bool = False
    prefetch: bool = False
    optimizer: str = "sgd"
    rate: float = 0.01
    schedule: str = "constant"
    batch: int = 32
    l2: float = 0.0
    base: str = "large"
    epochs: int = 20

    @property
    def backend(self) -> str:
        """The backend of Keras."""
        return "tensorflow" if self.engine == "keras" else "torch"

    @property
    def peak(self) -> float:
        """The highest learning rate at this batch size."""
        ratio = self.batch / 32
        return self.rate * (ratio if self.optimizer == "sgd" else ratio**0.5)


@dataclass(frozen=True)
class Run:
    """What came of a run; lists have a value for each epoch, seconds are since the clock began."""

    setup: dict[str, Any]
    seed: int
    seconds: list[float]
    loss: list[float]
    accuracy: list[float]
    val_loss: list[float]
    val_accuracy: list[float]
    test_accuracy: float
    parameters: int
    environment: dict[str, Any]


def build_model(base: str, l2: float = 0.0) -> Any:
    """Return three convolutions and a head; pixels come as 0 to 255."""
    import keras
    from keras import layers

    def penalty() -> Any:
        return keras.regularizers.L2(l2) if l2 else None

    images = keras.Input((SIDE, SIDE, 1))
    x = layers.Rescaling(1 / 255)(images)
    for channels in (16, 32, 64):
        x = layers.Conv2D(channels, 3, padding="same", kernel_regularizer=penalty())(x)
        if base == "small":
            x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
        if channels < 64 or base == "small":
            x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    if base == "large":
        x = layers.Dense(64, activation="relu", kernel_regularizer=penalty())(x)
    logits = layers.Dense(NUM_CLASSES, dtype="float32", kernel_regularizer=penalty())(x)
    return keras.Model(images, logits)


def run_keras(setup: Setup, seed: int, images: Path) -> Run:
    """Train as a plain script does."""
    import keras

    keras.config.set_dtype_policy(setup.precision)
    start = time.perf_counter()
    keras.utils.set_random_seed(seed)
    train, validation, test = (
        _dataset(images / name, setup, shuffle=name == "train")
        for name in ("train", "validation", "test")
    )
    model = build_model(setup.base, setup.l2)
    model.compile(
        optimizer=_optimizer(setup, len(train) * setup.epochs),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        # The loss without the penalty: what runs with and without one are compared by.
        metrics=["accuracy", keras.metrics.SparseCategoricalCrossentropy("ce", from_logits=True)],
    )
    seconds: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seconds.append(time.perf_counter() - start)  # noqa: ARG005
    )
    logs = model.fit(
        train, validation_data=validation, epochs=setup.epochs, callbacks=[clock], verbose=0
    ).history
    tested = model.evaluate(test, verbose=0, return_dict=True)
    return _run(
        setup,
        seed,
        seconds=seconds,
        loss=logs["ce"],
        accuracy=logs["accuracy"],
        val_loss=logs["val_ce"],
        val_accuracy=logs["val_accuracy"],
        test_accuracy=tested["accuracy"],
        parameters=model.count_params(),
    )


def run_slipstream(setup: Setup, seed: int, images: Path) -> Run:
    """Train as a plan says, on the same files."""
    from slipstream import Data, Task, engine
    from slipstream.data import image_folder

    start = time.perf_counter()

    def load() -> Data:
        names = ("train", "validation", "test")
        size = (SIDE, SIDE)
        return Data(*(image_folder(images / name, size=size, color="gray") for name in names))

    task = Task(
        name="case_study",
        model=lambda: build_model(setup.base),
        data=load,
        loss={"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}},
        metrics=["accuracy"],
        monitor="val_accuracy",
    )
    data = load()
    load_seconds = time.perf_counter() - start
    record = engine.train(task, plan_of(setup, seed), data=data, evaluate_test=True)
    if record.failure is not None:
        raise RuntimeError(record.failure.message)

    def each(name: str) -> list[float]:
        return [point.values[name] for point in record.points]

    return _run(
        setup,
        seed,
        seconds=[point.seconds + load_seconds for point in record.points],
        loss=each("loss"),
        accuracy=each("accuracy"),
        val_loss=each("val_loss"),
        val_accuracy=each("val_accuracy"),
        test_accuracy=(record.test_values or {})["accuracy"],
        parameters=record.parameters,
    )


def plan_of(setup: Setup, seed: int) -> Any:
    """Return the plan that says what a setup says."""
    from slipstream import Plan

    changes: dict[str, Any] = {
        "runtime.backend": setup.backend,
        "runtime.loop": "slipstream",
        "precision.policy": setup.precision,
        "data.cache": "host" if setup.cache else "none",
        "optimizer.name": setup.optimizer,
        "schedule.name": setup.schedule,
        "schedule.peak": setup.peak,
        "schedule.warmup": WARMUP if setup.schedule == "cosine" else 0.0,
        "batch.size": setup.batch,
        "regularization.l2": setup.l2,
        "duration.epochs": setup.epochs,
        "duration.restore_best": False,
        "seeds.seed": seed,
    }
    if setup.optimizer == "adamw":
        changes["optimizer.weight_decay"] = 0.01
    if not setup.prefetch:
        changes["data.prefetch"] = 0
    return Plan().adapt(changes)


def _dataset(folder: Path, setup: Setup, *, shuffle: bool) -> Any:
    import tensorflow as tf

    files = sorted(folder.glob("*/*.jpg"))
    labels = [int(file.parent.name) for file in files]
    at_once = tf.data.AUTOTUNE if setup.prefetch else None

    def decode(file: Any, label: Any) -> Any:
        return tf.io.decode_jpeg(tf.io.read_file(file), channels=1), label

    data = tf.data.Dataset.from_tensor_slices(([str(file) for file in files], labels))
    if setup.cache:
        data = data.map(decode, num_parallel_calls=at_once).cache()
        data = data.shuffle(len(files)) if shuffle else data
    else:
        data = data.shuffle(len(files)) if shuffle else data
        data = data.map(decode, num_parallel_calls=at_once)
    data = data.batch(setup.batch)
    return data.prefetch(tf.data.AUTOTUNE) if setup.prefetch else data


def _optimizer(setup: Setup, total_updates: int) -> Any:
    import keras

    rate: Any = setup.peak
    if setup.schedule == "cosine":
        warmup = round(WARMUP * total_updates)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, total_updates - warmup, warmup_target=setup.peak, warmup_steps=warmup
        )
    if setup.optimizer == "sgd":
        return keras.optimizers.SGD(rate)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.01)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _run(setup: Setup, seed: int, **values: Any) -> Run:
    from slipstream.environment import environment

    here = environment().model_dump(mode="json")
    # NumPy's numbers are no JSON.
    plain = {
        key: [float(v) for v in value] if isinstance(value, list) else value
        for key, value in values.items()
    }
    plain["test_accuracy"] = float(plain["test_accuracy"])
    return Run(setup=asdict(setup), seed=seed, environment=here, **plain)


def read_run(file: Path) -> Run | None:
    """Return a stored run, or None where there is none."""
    if not file.is_file():
        return None
    values = json.loads(file.read_text(encoding="utf-8"))
    return Run(**{field.name: values[field.name] for field in fields(Run)})


def write_run(run: Run, file: Path) -> None:
    """Write a run beside its place and rename it."""
    part = file.with_suffix(".part")
    part.write_text(json.dumps(asdict(run)), encoding="utf-8")
    part.replace(file)


BASELINE = Setup()
BEST = Setup(
    engine="slipstream",
    precision="mixed_bfloat16",
    cache=True,
    prefetch=True,
    optimizer="adamw",
    rate=2e-3,
    schedule="cosine",
    batch=64,
    l2=1e-5,
    base="small",
)
# Each optimisation: its words, and the fields that it sets.
OPTIMISATIONS = {
    "caching": ("decoded images kept in memory", ("cache",)),
    "prefetch": ("files read and decoded in parallel, ahead", ("prefetch",)),
    "precision": ("layers compute in bfloat16", ("precision",)),
    "optimizer": ("AdamW in the place of plain SGD, at a rate of its own", ("optimizer", "rate")),
    "schedule": ("warm-up and cosine in the place of a constant rate", ("schedule",)),
    "batch": ("batches of 64 in the place of 32, the rate scaled along", ("batch",)),
    "l2": ("an L2 penalty on the kernels", ("l2",)),
    "base_model": ("a smaller net with BatchNormalization", ("base",)),
    "engine": ("Slipstream's loop on PyTorch in the place of Keras' fit", ("engine",)),
}


def exchanged(target: Setup, source: Setup, name: str) -> Setup:
    """Return a setup with one optimisation's fields as another has them."""
    return replace(target, **{key: getattr(source, key) for key in OPTIMISATIONS[name][1]})
