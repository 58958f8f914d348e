"""What the tests share that run once per backend, each time in a process of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

if os.environ.get("KERAS_BACKEND") == "jax":
    # Half of what JAX does here is to compile small programs that run for microseconds: compile
    # them without effort (the emitters of fusions alone double the time), and keep them for the
    # next run.
    quick = (
        "--xla_backend_optimization_level=0",
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_cpu_parallel_codegen_split_count=1",
    )
    os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *quick]).strip()
    kept = Path(__file__).parents[2] / ".pytest_cache" / "jax"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(kept))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


@pytest.fixture(scope="session")
def backend() -> str:
    """The name of the backend that this process runs on."""
    return os.environ["KERAS_BACKEND"]


@pytest.fixture(autouse=True)
def plain_keras_state() -> None:
    """Begin every test with Keras' defaults, whatever the one before it left behind."""
    import keras

    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)
