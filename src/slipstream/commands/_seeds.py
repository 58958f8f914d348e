"""How many seeds decide anything."""

from __future__ import annotations

from slipstream.errors import InputError

FEWEST_SEEDS = 3


def require_seeds(num_seeds: int, of: str, fewest: int = FEWEST_SEEDS) -> None:
    """Raise InputError where fewer seeds are asked for than a command can do anything with.

    Args:
        num_seeds: What was asked for.
        of: What has the seeds, like "each side".
        fewest: How many the command needs at least.

    Example:
        >>> require_seeds(3, "each side")
    """
    if num_seeds < fewest:
        verdict = f", and {FEWEST_SEEDS} for a verdict" if fewest < FEWEST_SEEDS else ""
        raise InputError(
            f"at least {fewest} seeds of {of}{verdict}",
            f"{num_seeds}",
            f"Give {FEWEST_SEEDS} or more with --seeds; fewer decide nothing.",
            code="SLP-016",
        )
