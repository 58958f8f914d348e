"""What no backend complains of in a compiled model, and what makes it learn something else."""

from __future__ import annotations

from typing import Any, cast


def contradictions(model: Any) -> tuple[str, ...]:
    """Return a sentence for each loss whose from_logits contradicts the activation before it.

    Args:
        model: A compiled model; one without declared outputs cannot be looked into.
    """
    from slipstream.data import Data
    from slipstream.doctor import Case, probabilities
    from slipstream.engine.look import model_facts
    from slipstream.plan import Plan
    from slipstream.task import Task

    if not getattr(model, "outputs", None) or getattr(model, "loss", None) is None:
        return ()
    # Neither the facts of a model with declared outputs nor this check look at data.
    none = cast(Data, None)
    task = Task(model=lambda: model, data=lambda: none, loss=model.loss)
    case = Case(none, model_facts(task, model, None), Plan())
    return tuple(
        f"{finding.where}, and its loss wants {finding.what}. {finding.mend}"
        for finding in probabilities.check(case)
    )
