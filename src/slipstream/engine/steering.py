"""Penalties that follow the gap between training and validation loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from slipstream.backends import Program
from slipstream.data.splits import Data
from slipstream.engine.feed import evaluation_batches
from slipstream.ops.penalties import PenaltyFactor, compared_examples, loss_gap, next_factor
from slipstream.plan import Plan

GAP, FACTOR = "penalty_gap", "penalty_factor"


@final
class Steering:
    """Changes the factor on a model's penalties after each evaluation.

    What it compares with the validation loss is no training metric, which has dropout, smoothing
    and the penalties in it and lags behind the weights: as many training examples as there are
    validation examples are judged as these are, by the task's own loss.

    Args:
        factor: The factor.
        plan: The plan, whose penalties are adaptive.
        data: The data set.
    """

    def __init__(self, factor: PenaltyFactor, plan: Plan, data: Data) -> None:
        self._factor = factor
        self._settings = plan.regularization
        train, count = data.train, data.validation.num_examples
        self._examples = train.take(compared_examples(train.num_examples, count, plan.seeds.seed))

    def measure(self, program: Program, at_most: int, val_loss: float) -> dict[str, float]:
        """Return the gap, and the factor until now, by name; the model is judged by the task.

        Args:
            program: The program; it evaluates.
            at_most: How many examples at a time.
            val_loss: The validation loss.
        """
        loss = program.evaluate(evaluation_batches(self._examples, at_most))["loss"]
        return {GAP: loss_gap(loss, val_loss), FACTOR: self._factor.value}

    def follow(self, values: Mapping[str, float]) -> None:
        """Set the factor for the updates to come; the program is to `resume` afterwards."""
        settings = self._settings
        aim, step = settings.adaptive_gap, settings.adaptive_step
        self._factor.assign(
            next_factor(self._factor.value, values[GAP], aim, step, settings.adaptive_limit)
        )
