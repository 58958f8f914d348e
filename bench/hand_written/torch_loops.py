"""The best training loops we can write by hand in PyTorch: nothing but the work.

No metrics are kept, examples are gathered once an epoch, the optimizer is fused, and nothing is
copied that need not be.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from hand_written.torch_nets import build

BATCH = 64
IMAGES = ("cnn", "resnet18")
CLIPPING = 1.0


def epoch_function(
    name: str, variant: str, arrays: tuple[np.ndarray, np.ndarray]
) -> Callable[[], int]:
    """Return a function that trains one epoch and returns how many examples it had.

    Args:
        name: The net.
        variant: What makes up the loop, as `sides.HAND_WRITTEN` lists it.
        arrays: Inputs and labels.
    """
    words = variant.split()
    net = build(name, fused_attention="plain-attention" not in words)
    x, y = torch.from_numpy(arrays[0]), torch.from_numpy(arrays[1]).long()
    if name in IMAGES:
        x = x.permute(0, 3, 1, 2).contiguous()
    if "channels-last" in words:
        net = net.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    half = "bf16" in words

    def loss_of(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = net(x)
        return functional.cross_entropy(logits.float().flatten(0, -2), y.flatten())

    # Nothing is gained by several processes that compile: there are two cores.
    step_loss = torch.compile(loss_of) if "compiled" in words else loss_of
    parameters = list(net.parameters())
    optimizer = torch.optim.AdamW(parameters, 1e-3, weight_decay=0.004, eps=1e-7, fused=True)

    def epoch() -> int:
        order = torch.randperm(len(x))
        shuffled = zip(x[order].split(BATCH), y[order].split(BATCH), strict=True)
        for some_x, some_y in shuffled:
            step_loss(some_x, some_y).backward()
            torch.nn.utils.clip_grad_norm_(parameters, CLIPPING, foreach=True)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return len(x)

    return epoch
