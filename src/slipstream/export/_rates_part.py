"""The part of a script that sets the learning rate of every update."""

from __future__ import annotations

from textwrap import indent

from slipstream.ops.schedules import ONE_CYCLE_START
from slipstream.plan import Plan
from slipstream.plan.parts import Schedule

TABLE = '''
@keras.saving.register_keras_serializable()
class RateTable(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate for every update, read from a table."""

    def __init__(self, table):
        self.table = np.asarray(table, np.float32)

    def __call__(self, step):
        last = keras.ops.minimum(keras.ops.cast(step, "int32"), len(self.table) - 1)
        return keras.ops.take(keras.ops.convert_to_tensor(self.table), last)

    def get_config(self):
        return {"table": self.table.tolist()}
'''


def rates_part(plan: Plan) -> list[str]:
    """Return the definitions that give a script its learning rates; none for a constant one."""
    schedule = plan.schedule
    if schedule.name == "constant" and not schedule.warmup:
        return []
    if schedule.name == "cosine":
        return [_cosine(schedule)]
    return [TABLE, _table_function(schedule)]


def _cosine(schedule: Schedule) -> str:
    """Return Keras' own cosine, which is the plan's to the last digit that counts."""
    lines = ['"""Return the learning rate as a function of the update."""']
    if not schedule.warmup:
        lines += [
            "return keras.optimizers.schedules.CosineDecay(",
            f"    {schedule.peak!r}, decay_steps=total_updates, alpha={schedule.floor!r}",
            ")",
        ]
    else:
        lines += [
            *_warmup_lines(schedule),
            f"peak = {schedule.peak!r}",
            "if warmup == 0:",
            "    return peak",
            "return keras.optimizers.schedules.CosineDecay(",
            "    initial_learning_rate=peak / (warmup + 1),",
            "    warmup_steps=warmup,",
            "    warmup_target=peak,",
            "    decay_steps=total_updates - warmup,",
            f"    alpha={schedule.floor!r},",
            ")",
        ]
    return "def rates(total_updates: int):\n" + indent("\n".join(lines), "    ")


def _table_function(schedule: Schedule) -> str:
    lines = [f'"""Return the learning rates of all updates: {_title(schedule)}."""']
    if schedule.warmup:
        lines += _warmup_lines(schedule)
        length = "total_updates - warmup"
    else:
        length = "total_updates"
    lines.append(f"update = np.arange({length})")
    lines += _shape(schedule, f"({length})" if schedule.warmup else length)
    if schedule.warmup:
        lines += _climb(schedule)
        lines.append("factor = np.concatenate([climb, factor])")
    lines.append(f"return RateTable({schedule.peak!r} * np.minimum(1.0, factor))")
    return "def rates(total_updates: int) -> RateTable:\n" + indent("\n".join(lines), "    ")


def _title(schedule: Schedule) -> str:
    name = schedule.name.replace("_", " ")
    return f"a climb, then {name}" if schedule.warmup else name


def _warmup_lines(schedule: Schedule) -> list[str]:
    return [f"warmup = min(max(1, round({schedule.warmup!r} * total_updates)), total_updates - 1)"]


def _climb(schedule: Schedule) -> list[str]:
    if schedule.name != "one_cycle":
        return ["climb = np.arange(1, warmup + 1) / (warmup + 1)"]
    return [
        "passed = np.arange(warmup) / max(1, warmup)",
        f"climb = {ONE_CYCLE_START!r} + {1 - ONE_CYCLE_START!r} * (1 - np.cos(np.pi * passed)) / 2",
    ]


def _shape(schedule: Schedule, length: str) -> list[str]:
    floor = schedule.floor
    if schedule.name == "constant":
        return ["factor = np.ones(len(update))"]
    if schedule.name == "linear":
        return [f"factor = 1 - {1 - floor!r} * update / {length}"]
    if schedule.name == "exponential":
        powers = f"{schedule.decay_rate!r} ** (update / total_updates / {schedule.decay_every!r})"
        return [f"factor = np.maximum({floor!r}, {powers})"]
    if schedule.name == "step_decay":
        return [
            f"stairs = np.floor(update / total_updates / {schedule.decay_every!r} + 1e-9)",
            f"factor = np.maximum({floor!r}, {schedule.decay_rate!r} ** stairs)",
        ]
    if schedule.name == "warm_restarts":
        return [
            f"cycle = {schedule.cycles} * update / {length}",
            "passed = np.maximum(0.0, cycle - np.floor(cycle + 1e-9))",
            f"factor = {floor!r} + {1 - floor!r} * (1 + np.cos(np.pi * passed)) / 2",
        ]
    assert schedule.name == "one_cycle"
    return [f"factor = {floor!r} + {1 - floor!r} * (1 + np.cos(np.pi * update / {length})) / 2"]
