"""Every random source that Keras draws from: set, read, restored; only what is used is imported."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR, global_seed_generator
from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED
from numpy.typing import NDArray


def set_random_seed(seed: int) -> None:
    """Do what `keras.utils.set_random_seed` does for the current backend.

    Keras' own function imports TensorFlow on every backend wherever it is installed: 2 to 5
    seconds on JAX and PyTorch, on the user's clock.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        keras.utils.set_random_seed(seed)
        return
    global_state.set_global_attribute(GLOBAL_RANDOM_SEED, seed)
    global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, None)
    random.seed(seed)
    np.random.seed(seed)
    if backend == "torch":
        import torch

        torch.manual_seed(seed)


def random_sources() -> dict[str, NDArray[Any]]:
    """Return the states of the process's own random sources: Python, NumPy, Keras, the backend.

    Layers draw from seed generators of their own, which are the model's. What TensorFlow's stateful
    random operations hold cannot be read; Keras uses none of them.
    """
    _, numbers, gauss = random.getstate()
    legacy: Any = np.random.get_state(legacy=False)
    sources = {
        "python": np.array(numbers, np.uint64),
        "python_gauss": np.array([] if gauss is None else [gauss], np.float64),
        "numpy": np.array(legacy["state"]["key"]),
        "numpy_place": np.array([legacy["state"]["pos"], legacy["has_gauss"]], np.int64),
        "numpy_gauss": np.array(legacy["gauss"], np.float64),
    }
    generator = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    if generator is not None:
        sources["keras"] = np.array(keras.ops.convert_to_numpy(generator.state.value))
    if keras.backend.backend() == "torch":
        import torch

        # Dropout without a seed draws from it.
        sources["torch"] = torch.get_rng_state().numpy().copy()
        if torch.cuda.is_available():
            for device, state in enumerate(torch.cuda.get_rng_state_all()):
                sources[f"torch_cuda_{device}"] = state.numpy().copy()
    return sources


def restore_random_sources(sources: Mapping[str, NDArray[Any]]) -> None:
    """Set the process's random sources to what `random_sources` returned."""
    if "python" in sources:
        gauss = sources["python_gauss"].tolist()
        random.setstate((3, tuple(sources["python"].tolist()), gauss[0] if gauss else None))
    if "numpy" in sources:
        place, has_gauss = sources["numpy_place"].tolist()
        gauss = float(sources["numpy_gauss"])
        np.random.set_state(("MT19937", sources["numpy"], place, has_gauss, gauss))
    if "keras" in sources:
        global_seed_generator().state.assign(sources["keras"])
    else:
        # Keras makes it when it is first asked for, with a number of Python's.
        global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, None)
    if "torch" in sources and keras.backend.backend() == "torch":
        import torch

        torch.set_rng_state(torch.from_numpy(sources["torch"].copy()))
        for device in range(torch.cuda.device_count()):
            if f"torch_cuda_{device}" in sources:
                state = torch.from_numpy(sources[f"torch_cuda_{device}"].copy())
                torch.cuda.set_rng_state(state, device)
