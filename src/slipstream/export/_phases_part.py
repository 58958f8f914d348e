"""The part of a script that trains in two phases: on a frozen base first, then all of it."""

from __future__ import annotations

from slipstream.errors import PlanError
from slipstream.export._data_part import Loading
from slipstream.plan import Plan


def fits_in_parts(plan: Plan) -> bool:
    """Whether a script calls Keras' fit several times."""
    return plan.duration.evaluations_per_epoch > 1 or plan.transfer.is_on


def phase_constants(plan: Plan, load: Loading) -> list[str]:
    """Return the constants of a script with two phases.

    Raises:
        PlanError: The first phase ends within an epoch, or plateaus are followed through both.
    """
    if not plan.transfer.is_on:
        return []
    per_epoch = updates_per_epoch(plan, load.num_train)
    num_frozen = plan.transfer.num_frozen(plan.duration.epochs, per_epoch)
    epochs, rest = divmod(num_frozen, per_epoch)
    if rest:
        raise PlanError(
            "transfer.frozen that ends with an epoch, for a plain Keras script, which compiles "
            "the model anew between two calls of fit",
            f"{plan.transfer.frozen!r}: {num_frozen} updates, {per_epoch} an epoch",
            f"Set transfer.frozen = '{max(1, epochs)} epochs', or train with 'slipstream fit'.",
            code="SLP-809",
        )
    if plan.schedule.plateau_patience and epochs < plan.duration.epochs:
        raise PlanError(
            "schedule.plateau_patience = 0 for a plain Keras script of two phases",
            f"{plan.schedule.plateau_patience}",
            "What lowers the rate does not outlive its optimizer there: set it to 0.",
            code="SLP-810",
        )
    return ["# The base is frozen for so many of them.", f"FROZEN_EPOCHS = {epochs}"]


def updates_per_epoch(plan: Plan, num_train: int) -> int:
    """Return how many updates an epoch has.

    Example:
        >>> updates_per_epoch(Plan(), 33)
        2
    """
    full, rest = divmod(num_train, plan.batch.size * plan.batch.accumulation)
    return max(1, full + (1 if rest and plan.batch.remainder == "keep" else 0))


def base_lines(plan: Plan) -> list[str]:
    """Return the lines that freeze the base, once the model's layers are what they are to be."""
    if not plan.transfer.is_on:
        return []
    return [f"base = find_base(model, {plan.transfer.base!r})", "base.freeze()"]


def thaw_lines(plan: Plan) -> list[str]:
    """Return the lines at the start of each part of an epoch, `part`, that end the first phase."""
    if not plan.transfer.is_on or plan.transfer.frozen == 1.0:
        return []
    norms = plan.transfer.batch_norm == "trained"
    return [
        "    if part == FROZEN_EPOCHS * parts:",
        "        # All of it learns from here on, with an optimizer that begins anew.",
        f"        base.thaw(norms={norms})",
        "        done = FROZEN_EPOCHS * batches.num_updates",
        "        compile_model(model, batches.num_updates * EPOCHS, done)",
    ]
