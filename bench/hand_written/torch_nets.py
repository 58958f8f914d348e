"""The benchmark's nets as a person would write them in PyTorch, each layer a native module."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

NUM_CLASSES = 10
NUM_WORDS = 1000


class Block(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(width, eps=1e-3)
        self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(width, eps=1e-3)
        keeps = stride == 1 and channels == width
        self.around = nn.Identity() if keeps else nn.Conv2d(channels, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the block makes of images."""
        y = functional.relu(self.first_norm(self.first(x)), inplace=True)
        y = self.second_norm(self.second(y))
        return functional.relu(y.add_(self.around(x)), inplace=True)


def residual_net(channels: int, stem: int, widths: list[tuple[int, int]]) -> nn.Module:
    """Return a net of residual blocks."""
    parts: list[nn.Module] = [
        nn.Conv2d(channels, stem, 3, 1, 1, bias=False),
        nn.BatchNorm2d(stem, eps=1e-3),
        nn.ReLU(inplace=True),
    ]
    for width, stride in widths:
        parts.append(Block(stem, width, stride))
        stem = width
    return nn.Sequential(
        *parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(stem, NUM_CLASSES)
    )


class StackedLstm(nn.Module):
    """Two LSTMs; the last state is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.LSTM(10, 64, batch_first=True)
        self.second = nn.LSTM(64, 32, batch_first=True)
        self.head = nn.Linear(32, NUM_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        hidden, _ = self.first(x)
        _, (last, _) = self.second(hidden)
        return self.head(last[0])


class Tagger(nn.Module):
    """A bidirectional GRU that classifies every word."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(NUM_WORDS, 64)
        self.gru = nn.GRU(64, 64, batch_first=True, bidirectional=True)
        self.head = nn.Linear(128, NUM_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of every word."""
        hidden, _ = self.gru(self.words(x))
        return self.head(hidden)


class EncoderLayer(nn.Module):
    """Attention and two dense layers, normalised after each.

    Args:
        fused: Whether attention is PyTorch's fused kernel, or three plain operations.
    """

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.fused = fused
        self.joint = nn.Linear(128, 384)
        self.out = nn.Linear(128, 128)
        self.wide = nn.Linear(128, 512)
        self.narrow = nn.Linear(512, 128)
        self.first_norm = nn.LayerNorm(128)
        self.second_norm = nn.LayerNorm(128)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the layer makes of sequences."""
        size, length, _ = x.shape
        heads = self.joint(x).view(size, length, 3, 4, 32).permute(2, 0, 3, 1, 4)
        queries, keys, values = heads.unbind(0)
        if self.fused:
            attended = functional.scaled_dot_product_attention(queries, keys, values)
        else:
            scores = (queries * 32**-0.5) @ keys.transpose(-1, -2)
            attended = scores.softmax(-1).to(values.dtype) @ values
        attended = attended.transpose(1, 2).reshape(size, length, 128)
        x = self.first_norm(x + self.dropout(self.out(attended)))
        hidden = self.narrow(functional.gelu(self.wide(x)))
        return self.second_norm(x + self.dropout(hidden))


class Encoder(nn.Module):
    """Four layers; the mean over the steps is classified."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.inputs = nn.Linear(16, 128)
        self.layers = nn.Sequential(*(EncoderLayer(fused) for _ in range(4)))
        self.head = nn.Linear(128, NUM_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        return self.head(self.layers(self.inputs(x)).mean(1))


def dense_net() -> nn.Module:
    """Return the dense net."""
    return nn.Sequential(
        nn.Linear(50, 256),
        nn.ReLU(inplace=True),
        nn.BatchNorm1d(256, eps=1e-3),
        nn.Dropout(0.3),
        nn.Linear(256, 128),
        nn.ReLU(inplace=True),
        nn.BatchNorm1d(128, eps=1e-3),
        nn.Dropout(0.2),
        nn.Linear(128, 64),
        nn.ReLU(inplace=True),
        nn.Linear(64, NUM_CLASSES),
    )


def build(name: str, *, fused_attention: bool = True) -> nn.Module:
    """Return a net by its name, in training mode."""
    torch.manual_seed(0)
    stages = [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)]
    makers = {
        "mlp": dense_net,
        "cnn": lambda: residual_net(1, 32, [(32, 1), (64, 2), (128, 2)]),
        "resnet18": lambda: residual_net(3, 64, stages),
        "lstm": StackedLstm,
        "gru_tagger": Tagger,
        "transformer": lambda: Encoder(fused_attention),
    }
    return makers[name]().train()
