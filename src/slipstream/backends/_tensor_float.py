"""TensorFloat-32: whether a GPU may multiply float32 with fewer bits."""

from __future__ import annotations

from typing import Any

NO_GPU = "no effect: there is no GPU"


def set_tensor_float32(choice: str, backend: str) -> str:
    """Let products of float32 run in TensorFloat-32, or not; returns what that means here.

    Args:
        choice: "on", "off", or "as_backend" for what the backend does by itself: TensorFlow on,
            PyTorch on for convolutions alone, JAX as the device has it.
        backend: The backend that Keras runs on.

    Example:
        >>> import keras
        >>> set_tensor_float32("as_backend", keras.backend.backend()) in ("as_backend", NO_GPU)
        True
    """
    return {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[backend](choice)


def _tensorflow(choice: str) -> str:
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(choice != "off")
    return choice if tf.config.list_physical_devices("GPU") else NO_GPU


def _jax(choice: str) -> str:
    import jax

    if jax.default_backend() == "cpu":
        return NO_GPU
    names: dict[str, Any] = {"on": "tensorfloat32", "off": "float32", "as_backend": None}
    jax.config.update("jax_default_matmul_precision", names[choice])
    return choice


def _torch(choice: str) -> str:
    import torch

    if not torch.cuda.is_available():
        return NO_GPU
    names = {"on": ("tf32", "tf32"), "off": ("ieee", "ieee"), "as_backend": ("ieee", "tf32")}
    matmul, conv = names[choice]
    torch.backends.cuda.matmul.fp32_precision = matmul
    torch.backends.cudnn.conv.fp32_precision = conv  # type: ignore[attr-defined]
    return choice
