"""Setting every random source that Keras draws from, without importing what is not used."""

from __future__ import annotations

import random

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED


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
