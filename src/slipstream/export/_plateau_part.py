"""The part of a script that lowers the learning rate where the watched value gets no better."""

from __future__ import annotations

from slipstream.export._copied import copied
from slipstream.export._objects import in_comments
from slipstream.export._rates_part import has_schedule
from slipstream.plan import Plan
from slipstream.task import Task

LOWER = '''
class LowerOnPlateau(keras.callbacks.Callback):
    """Multiplies the rates that are still to come where {monitor} gets no better."""

    def __init__(self):
        super().__init__()
        self.plateau = Plateau(
            SimpleNamespace(
                {settings}
            ),
            "{mode}",
        ){table}

    def on_epoch_end(self, epoch, logs=None):
        if not self.plateau.observe(logs[MONITOR]):
            return
        optimizer = {optimizer}
        {lowered}
'''
KEEP_TABLE = """
        self.table = None

    def on_train_begin(self, logs=None):
        if self.table is None:
            self.table = {optimizer}._learning_rate.table"""
OF_TABLE = """optimizer.learning_rate = RateTable(self.table * self.plateau.factor)
        # The table is part of what is compiled.
        self.model.make_train_function(force=True)"""
KEYS = ("patience", "factor", "floor", "cooldown", "min_delta")


def lowers_on_plateau(plan: Plan) -> bool:
    """Whether the plan lowers the rate on a plateau."""
    return plan.schedule.plateau_patience > 0


def plateau_definitions(task: Task, plan: Plan) -> list[str]:
    """Return the callback, and the rule that it follows; nothing where the plan has none."""
    if not lowers_on_plateau(plan):
        return []
    optimizer = "self.model.optimizer"
    if plan.precision.policy == "mixed_float16":
        optimizer += ".inner_optimizer"
    settings = [f"plateau_{key}={getattr(plan.schedule, f'plateau_{key}')!r}," for key in KEYS]
    varies = has_schedule(plan)
    callback = LOWER.format(
        monitor=in_comments(task.monitor),
        settings="\n                ".join(settings),
        mode=task.better,
        table=KEEP_TABLE.format(optimizer=optimizer) if varies else "",
        optimizer=optimizer,
        lowered=OF_TABLE
        if varies
        else f"optimizer.learning_rate = {plan.schedule.peak!r} * self.plateau.factor",
    )
    rule = copied("slipstream.ops.plateau", "Plateau").replace("parts.Schedule", "Any")
    return [rule, callback]
