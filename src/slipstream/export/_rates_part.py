"""The part of a script that sets the learning rate of every update."""

from __future__ import annotations

from textwrap import indent

from slipstream.ops.schedules import ONE_CYCLE_START
from slipstream.plan import Plan
from slipstream.plan.lengths import pieces_of
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
    if not has_schedule(plan):
        return []
    # What a plateau multiplies, or a second phase has the rest of, has to be a table.
    if schedule.name == "cosine" and not schedule.plateau_patience and not plan.transfer.is_on:
        return [_cosine(schedule)]
    parts = [TABLE, _table_function(schedule)]
    return [*parts, _momenta_function(plan)] if schedule.momentum_low else parts


def has_schedule(plan: Plan) -> bool:
    """Whether the learning rate differs from update to update."""
    return plan.schedule.name != "constant" or bool(plan.schedule.warmup)


def rate_source(plan: Plan) -> str:
    """Return the learning rate as the script hands it to its optimizer."""
    peak, later = plan.schedule.peak, plan.transfer.rate
    if not plan.transfer.is_on:
        return "rates(total_updates)" if has_schedule(plan) else repr(peak)
    if not has_schedule(plan):
        return f"{peak * later!r} if done else {peak!r}"
    return f"RateTable(({later!r} if done else 1.0) * rates(total_updates).table[done:])"


def _momenta_function(plan: Plan) -> str:
    schedule, settings = plan.schedule, plan.optimizer
    highest = settings.momentum if settings.name == "sgd" else settings.beta_1
    lines = [
        '"""Return the momentum of all updates: low where the rate is high."""',
        *_warmup_lines(schedule),
        "risen = (1 - np.cos(np.pi * np.arange(warmup) / max(1, warmup))) / 2",
        "passed = np.arange(total_updates - warmup) / (total_updates - warmup)",
        "height = np.concatenate([risen, (1 + np.cos(np.pi * passed)) / 2])",
        f"return {highest!r} - {highest - schedule.momentum_low!r} * height",
    ]
    return "def momentum_table(total_updates: int):\n" + indent("\n".join(lines), "    ")


def _fraction(length: float | str) -> str:
    """Return a length as an expression: a fraction of the run.

    Example:
        >>> _fraction(0.2), _fraction("2 epochs"), _fraction("1 step")
        ('0.2', '2 / EPOCHS', '1 / total_updates')
    """
    if not isinstance(length, str):
        return repr(length)
    number, unit = length.split()
    return f"{number} / {'EPOCHS' if unit.startswith('epoch') else 'total_updates'}"


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
    warmup = _fraction(schedule.warmup)
    return [f"warmup = min(max(1, round({warmup} * total_updates)), total_updates - 1)"]


def _climb(schedule: Schedule) -> list[str]:
    if schedule.name != "one_cycle":
        return ["climb = np.arange(1, warmup + 1) / (warmup + 1)"]
    return [
        "passed = np.arange(warmup) / max(1, warmup)",
        f"climb = {ONE_CYCLE_START!r} + {1 - ONE_CYCLE_START!r} * (1 - np.cos(np.pi * passed)) / 2",
    ]


def _shape(schedule: Schedule, length: str) -> list[str]:
    if schedule.name in ("exponential", "step_decay", "inverse_time"):
        return _decays(schedule)
    if schedule.name == "warmup_stable_decay":
        return _stable(schedule, length)
    if schedule.name == "piecewise_constant":
        return _pieces(schedule)
    floor, fall = schedule.floor, 1 - schedule.floor
    half_cosine = f"factor = {floor!r} + {fall!r} * (1 + np.cos(np.pi * %s)) / 2"
    lines = {
        "constant": ["factor = np.ones(len(update))"],
        "linear": [f"factor = 1 - {fall!r} * update / {length}"],
        "polynomial": [
            f"factor = {floor!r} + {fall!r} * (1 - update / {length}) ** {schedule.power!r}"
        ],
        "warm_restarts": [
            f"cycle = {schedule.cycles} * update / {length}",
            "passed = np.maximum(0.0, cycle - np.floor(cycle + 1e-9))",
            half_cosine % "passed",
        ],
        "one_cycle": [half_cosine % f"update / {length}"],
        "cosine": [half_cosine % f"update / {length}"],
    }
    return lines[schedule.name]


def _decays(schedule: Schedule) -> list[str]:
    every = _fraction(schedule.decay_every)
    passed = f"update / total_updates / ({every})"
    if schedule.staircase or schedule.name == "step_decay":
        passed = f"np.floor({passed} + 1e-9)"
    lines = [f"decays = {passed}"]
    if schedule.name == "inverse_time":
        slope = 1 / schedule.decay_rate - 1
        return [*lines, f"factor = np.maximum({schedule.floor!r}, 1 / (1 + {slope!r} * decays))"]
    return [*lines, f"factor = np.maximum({schedule.floor!r}, {schedule.decay_rate!r} ** decays)"]


def _stable(schedule: Schedule, length: str) -> list[str]:
    return [
        f"rest = {length} / total_updates",
        f"last = min({_fraction(schedule.decay_last)}, rest)",
        "passed = np.clip((update / total_updates - (rest - last)) / last, 0.0, 1.0)",
        *(["passed = np.sqrt(passed)"] if schedule.decay_shape == "sqrt" else []),
        f"factor = 1 - {1 - schedule.floor!r} * passed",
    ]


def _pieces(schedule: Schedule) -> list[str]:
    pieces = pieces_of(schedule.pieces)
    starts = ", ".join(_fraction(at) for at, _ in pieces)
    at = "(warmup + update)" if schedule.warmup else "update"
    return [
        f"starts = [{starts}]",
        f"factors = np.array({[1.0, *(factor for _, factor in pieces)]!r})",
        f'piece = np.searchsorted(starts, {at} / total_updates + 1e-9, side="right")',
        "factor = factors[piece]",
        "factor[0] = 1.0",
    ]
