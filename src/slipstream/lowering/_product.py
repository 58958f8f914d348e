"""Products of matrices by the library that is fastest for them on this processor."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch

# From so many multiply-adds on, the kernel gains more than an autograd function in Python costs.
LEAST_MULTIPLY_ADDS = 2**22


def linear(x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Return x kernel + bias.

    Args:
        x: Of shape (rows, inputs).
        kernel: Of shape (inputs, outputs), as Keras keeps it.
        bias: Of shape (outputs,), or None.
    """
    if _is_large(x, kernel) and onednn_is_faster():
        if torch.is_grad_enabled():
            return _Linear.apply(x, kernel, bias)  # type: ignore[no-any-return,no-untyped-call]
        return _onednn(x, kernel.t(), bias)
    return torch.mm(x, kernel) if bias is None else torch.addmm(bias, x, kernel)


@cache
def onednn_is_faster() -> bool:
    """Whether oneDNN multiplies matrices of float32 faster than MKL, which PyTorch takes for them.

    MKL leaves AVX-512 alone on processors that are not Intel's: on an AMD EPYC with it, oneDNN
    needs 40 to 45 % of MKL's time. Told by the processor, not by a measurement: the two round
    differently, and one machine is to give the same numbers every time.
    """
    return bool(
        hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
        and torch.backends.cpu.get_cpu_capability().startswith("AVX512")
        and _vendor() == "AuthenticAMD"
    )


class _Linear(torch.autograd.Function):
    """The product, and its gradients, by oneDNN."""

    @staticmethod
    def forward(ctx: Any, x: Any, kernel: Any, bias: Any) -> torch.Tensor:
        ctx.save_for_backward(x, kernel)
        return _onednn(x, kernel.t(), bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[torch.Tensor | None, ...]:
        x, kernel = ctx.saved_tensors
        (of_y,) = gradients
        for_x, for_kernel, for_bias = ctx.needs_input_grad
        of_x = _onednn(of_y, kernel) if for_x else None
        of_kernel = _transposed_product(x, of_y) if for_kernel else None
        of_bias = of_y.sum(0) if for_bias else None
        return of_x, of_kernel, of_bias


def _transposed_product(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return x^T y. The kernel copies its first factor where it is transposed: the narrower one."""
    if x.shape[1] <= y.shape[1]:
        return _onednn(x.t(), y.t())
    return _onednn(y.t(), x.t()).t()


def _onednn(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """Return x weight^T + bias, for a weight of shape (outputs, inputs)."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")  # type: ignore[no-any-return]


def _is_large(x: torch.Tensor, kernel: torch.Tensor) -> bool:
    multiply_adds = x.shape[0] * kernel.numel()
    return (
        multiply_adds >= LEAST_MULTIPLY_ADDS
        and x.dtype == kernel.dtype == torch.float32
        and x.device.type == "cpu"
    )


def _vendor() -> str:
    """Return the processor's vendor as it calls itself, "" where that is not told."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    found = (line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id"))
    return next(found, "")
