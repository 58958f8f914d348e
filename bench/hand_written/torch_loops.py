"""The best training loops we can write by hand in PyTorch: nothing but the work.

No metrics are kept, examples are gathered once an epoch, the optimizer is fused, and nothing is
copied that need not be. Where there is a GPU they run there; "graphed" is a whole step as one CUDA
graph.
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

Step = Callable[[torch.Tensor, torch.Tensor], None]


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
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = build(name, fused_attention="plain-attention" not in words).to(device)
    x, y = torch.from_numpy(arrays[0]).to(device), torch.from_numpy(arrays[1]).long().to(device)
    if name in IMAGES:
        x = x.permute(0, 3, 1, 2).contiguous()
    if "channels-last" in words:
        net = net.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    half = "bf16" in words

    def loss_of(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            logits = net(x)
        return functional.cross_entropy(logits.float().flatten(0, -2), y.flatten())

    # Nothing is gained by several processes that compile: there are two cores.
    step_loss = torch.compile(loss_of) if "compiled" in words else loss_of
    parameters = list(net.parameters())
    optimizer = torch.optim.AdamW(
        parameters,
        1e-3,
        weight_decay=0.004,
        eps=1e-7,
        fused=True,
        capturable="graphed" in words,
    )

    def step(some_x: torch.Tensor, some_y: torch.Tensor) -> None:
        step_loss(some_x, some_y).backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIPPING, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    make = graphed(step, x[:BATCH], y[:BATCH]) if "graphed" in words else step

    def epoch() -> int:
        order = torch.randperm(len(x), device=device)
        shuffled = zip(x[order].split(BATCH), y[order].split(BATCH), strict=True)
        for some_x, some_y in shuffled:
            make(some_x, some_y)
        return len(x)

    return epoch


def graphed(step: Step, x: torch.Tensor, y: torch.Tensor) -> Step:
    """Return a step as a CUDA graph; three are made beforehand, as CUDA wants it."""
    x, y = x.clone(), y.clone()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step(x, y)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        step(x, y)

    def replayed(some_x: torch.Tensor, some_y: torch.Tensor) -> None:
        x.copy_(some_x)
        y.copy_(some_y)
        graph.replay()

    return replayed
