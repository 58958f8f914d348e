"""Recipes: named, strong combinations of techniques that tuning starts from."""

from __future__ import annotations

import difflib

from slipstream.errors import InputError
from slipstream.techniques._case_recipes import case_recipes
from slipstream.techniques._recipe import Recipe


def recipes() -> tuple[Recipe, ...]:
    """Return the recipes that tuning starts from, the safest first.

    Example:
        >>> [recipe.name for recipe in recipes()][:2]
        ['adamw_cosine_warmup', 'adam_one_cycle']
    """
    return _RECIPES


def get_recipe(name: str) -> Recipe:
    """Return one recipe by name, of either kind; raises InputError with the nearest name.

    Example:
        >>> get_recipe("schedule_free").techniques
        ('schedule_free_adamw', 'constant', 'warmup')
    """
    by_name = {recipe.name: recipe for recipe in (*_RECIPES, *case_recipes())}
    if name not in by_name:
        nearest = difflib.get_close_matches(name, by_name, n=1, cutoff=0.4)
        instead = f"Did you mean '{nearest[0]}'?" if nearest else f"There are {', '.join(by_name)}."
        raise InputError("the name of a recipe", f"'{name}'", instead, code="SLP-021")
    return by_name[name]


_RECIPES = (
    Recipe(
        "adamw_cosine_warmup",
        "AdamW, warm-up, cosine",
        "The usual strong choice: right for most nets, and for Transformers above all.",
        ("adamw", "weight_decay", "cosine", "warmup", "clipping"),
        {"schedule.peak": 2e-3, "schedule.warmup": 0.05, "schedule.floor": 0.0},
    ),
    Recipe(
        "adam_one_cycle",
        "Adam, one-cycle",
        "A short training at a rate several times Adam's usual one.",
        ("adam", "one_cycle"),
        {"schedule.peak": 5e-3, "schedule.warmup": 0.3, "optimizer.weight_decay": 0.0},
    ),
    Recipe(
        "super_convergence",
        "Nesterov's momentum, one-cycle, larger batch",
        "SGD at a rate that would diverge from the start; for nets with normalization layers.",
        ("nesterov", "one_cycle"),
        {"schedule.peak": 0.1, "schedule.warmup": 0.3, "optimizer.weight_decay": 0.0},
        optional=("batch_size",),
    ),
    Recipe(
        "muon_cosine",
        "Muon, warm-up, cosine",
        "For nets whose weights are mostly matrices.",
        ("muon", "weight_decay", "cosine", "warmup"),
        {"schedule.peak": 5e-3, "schedule.warmup": 0.05, "schedule.floor": 0.0},
    ),
    Recipe(
        "lion_cosine",
        "Lion, warm-up, cosine",
        "Steps of equal size at a small rate; for large batches.",
        ("lion", "weight_decay", "cosine", "warmup"),
        {"schedule.peak": 4e-4, "schedule.warmup": 0.05, "optimizer.weight_decay": 0.1},
    ),
    Recipe(
        "schedule_free",
        "Schedule-Free AdamW",
        "Good at every moment, so the run may end at any.",
        ("schedule_free_adamw", "constant", "warmup"),
        {"schedule.peak": 5e-3, "schedule.warmup": 0.05, "optimizer.weight_decay": 0.0},
    ),
    Recipe(
        "rmsprop_exponential",
        "RMSprop, exponential decay",
        "For recurrent nets: a rate that falls fast at first.",
        ("rmsprop", "exponential", "clipping"),
        {"schedule.peak": 2e-3, "schedule.warmup": 0.02, "optimizer.weight_decay": 0.0},
    ),
    Recipe(
        "plain_momentum",
        "SGD with momentum",
        "The plainest optimizer at a rate of its own: hard to beat on small nets.",
        ("sgd_momentum", "constant"),
        {"schedule.peak": 0.05, "schedule.warmup": 0.0, "optimizer.weight_decay": 0.0},
    ),
    Recipe(
        "plain_adam_larger_rate",
        "Adam at three times its usual rate",
        "The smallest change that often helps; no shape to tune.",
        ("adam", "constant"),
        {"schedule.peak": 3e-3, "schedule.warmup": 0.0, "optimizer.weight_decay": 0.0},
    ),
)
