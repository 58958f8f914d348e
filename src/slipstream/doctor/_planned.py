"""The case as the plan's own losses make it: what they take is checked like the task's."""

from __future__ import annotations

from dataclasses import replace

from slipstream.doctor._case import Case, Finding
from slipstream.errors import PlanError
from slipstream.plan.losses import JudgedOutput, choose_losses, weights_of


def as_planned(case: Case) -> tuple[Case | None, Finding | None]:
    """Return the case with the losses that the plan puts in the place of the task's.

    None where it puts none; a finding where it names some that the model has no place for.
    """
    outputs = case.model.outputs
    judged = [JudgedOutput(o.name, o.loss, o.from_logits, o.activation) for o in outputs]
    try:
        chosen = choose_losses(case.plan.loss, judged)
        weights_of(case.plan.loss, [output.name for output in outputs])
    except PlanError as error:
        finding = Finding("plan_loss", "error", error.expected, error.came, error.mend, "plan")
        return None, finding
    if not chosen:
        return None, None
    changed = tuple(
        replace(
            output,
            loss=chosen[output.name].class_name.removeprefix("slipstream>"),
            from_logits=chosen[output.name].config.get("from_logits"),
            ignore_class=None,
        )
        if output.name in chosen
        else output
        for output in outputs
    )
    return replace(case, model=replace(case.model, outputs=changed)), None
