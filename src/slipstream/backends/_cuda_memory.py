"""The memory of a GPU that this process holds."""

from __future__ import annotations

import keras


def peak_device_bytes() -> int:
    """Return the most memory of the first GPU that Keras' backend held so far; 0 without a GPU.

    Example:
        >>> peak_device_bytes() >= 0
        True
    """
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        return torch.cuda.max_memory_reserved() if torch.cuda.is_available() else 0
    if backend == "jax":
        import jax

        # None on a processor.
        return int((jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0))
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return 0
    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
