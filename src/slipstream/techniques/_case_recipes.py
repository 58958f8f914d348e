"""Recipes for the usual cases: what to begin with where nothing is known but the kind of task."""

from __future__ import annotations

from slipstream.task import TaskFacts
from slipstream.techniques._recipe import Recipe

_CONVOLUTIONS = ("Conv1D", "Conv2D", "Conv3D", "SeparableConv2D", "DepthwiseConv2D")
_RECURRENT = ("SimpleRNN", "LSTM", "GRU", "Bidirectional", "RNN", "ConvLSTM2D")
_ATTENTION = ("MultiHeadAttention", "Attention", "AdditiveAttention", "GroupQueryAttention")


def case_recipes() -> tuple[Recipe, ...]:
    """Return the recipes for the usual cases.

    Example:
        >>> [recipe.name for recipe in case_recipes()]
        ['image_classification', 'transfer_learning', 'tabular', 'recurrent', 'transformer']
    """
    return _RECIPES


def case_of(facts: TaskFacts) -> Recipe | None:
    """Return the recipe for the case that a task is, as far as its layers tell it.

    A pre-trained part cannot be told from the layers: nothing is ever taken for a transfer.
    """
    name = ""
    if _has(facts, _ATTENTION):
        name = "transformer"
    elif _has(facts, _RECURRENT):
        name = "recurrent"
    elif facts.has_image_input and _has(facts, _CONVOLUTIONS) and facts.kind == "classification":
        name = "image_classification"
    elif set(facts.layers) & {"Dense"} and all(len(s) == 1 for s in facts.input_shapes.values()):
        name = "tabular"
    return next((recipe for recipe in _RECIPES if recipe.name == name), None)


def _has(facts: TaskFacts, layers: tuple[str, ...]) -> bool:
    return any(layer in facts.layers for layer in layers)


_RECIPES = (
    Recipe(
        "image_classification",
        "Image classification from scratch",
        "Convolutional nets on images: a high rate that rises and falls once, decay that leaves "
        "norms and biases alone, labels that leave some doubt.",
        ("adamw", "weight_decay", "one_cycle"),
        {"schedule.peak": 4e-3, "schedule.warmup": 0.25, "optimizer.weight_decay": 0.01},
        optional=("label_smoothing", "batch_norm_momentum"),
        task="digits",
    ),
    Recipe(
        "transfer_learning",
        "Transfer from a pre-trained net",
        "Two phases: the head learns on a frozen base at a high rate, which a single layer bears; "
        "then all of it at a tenth of that, with the base's BatchNormalization kept frozen.",
        ("adamw", "weight_decay", "cosine", "warmup", "own_loop", "transfer"),
        {"schedule.peak": 3e-2, "schedule.warmup": 0.05, "transfer.frozen": 0.3},
        task="digits_transfer",
    ),
    Recipe(
        "tabular",
        "Tabular data",
        "Dense nets on columns of numbers: a higher rate that decays to nothing, with weight decay "
        "against learning the table by heart.",
        ("adamw", "weight_decay", "cosine", "warmup"),
        {"schedule.peak": 5e-3, "schedule.warmup": 0.05, "optimizer.weight_decay": 0.02},
        task="breast_cancer",
    ),
    Recipe(
        "recurrent",
        "Recurrent nets",
        "LSTM and GRU: gradients that are bounded as a whole, so that a rate several times the "
        "usual one is safe.",
        ("adam", "cosine", "warmup", "clipping"),
        {"schedule.peak": 5e-3, "schedule.warmup": 0.05, "clipping.global_norm": 1.0},
        task="next_character",
    ),
    Recipe(
        "transformer",
        "Transformers",
        "Warm-up before anything else, weights that decay, gradients bounded, a cosine to the end. "
        "Muon in AdamW's place needs fewer updates on large matrices; on small ones its updates "
        "take longer than they save.",
        ("adamw", "weight_decay", "cosine", "warmup", "clipping"),
        {"schedule.peak": 1.5e-3, "schedule.warmup": 0.1, "clipping.global_norm": 1.0},
        task="next_character_attention",
    ),
)
