"""The part of a script that watches the training: averages, the best weights, the end."""

from __future__ import annotations

from slipstream.export._copied import copied
from slipstream.export._objects import in_comments
from slipstream.export._penalty_part import penalises, penalty_call, penalty_definitions
from slipstream.export._phases_part import fits_in_parts
from slipstream.export._plateau_part import lowers_on_plateau, plateau_definitions
from slipstream.plan import Plan
from slipstream.task import Task

AVERAGED = '''
class AveragedWeights(keras.callbacks.Callback):
    """Evaluates and keeps the averaged weights, and trains on with the others."""

    trained = None{first}

    def on_test_begin(self, logs=None):
        variables = self.model.trainable_variables
        optimizer = {optimizer}
        self.trained = [keras.ops.convert_to_numpy(variable).copy() for variable in variables]
        {averages}
        for variable, value in zip(variables, averages, strict=True):
            variable.assign(value){renew}

    def on_epoch_begin(self, epoch, logs=None):
        if self.trained is not None:
            for variable, value in zip(self.model.trainable_variables, self.trained, strict=True):
                variable.assign(value)
            self.trained = None{put_back}
'''


# Parts of AveragedWeights, for nets with BatchNormalization.
KEEP_BATCHES = """

    def __init__(self, x):
        super().__init__()
        self.batches = batches_for_norms(x, {size}, {count}, SEED)"""
RENEW = """
        # What BatchNormalization keeps belongs to the weights that were trained.
        others = self.model.non_trainable_variables
        self.others = [keras.ops.convert_to_numpy(variable).copy() for variable in others]
        pairs = zip(self.trained, averages, strict=True)
        if any(not np.array_equal(one, other) for one, other in pairs):
            renew_norms(self.model, self.batches)"""
PUT_BACK = """
            pairs = zip(self.model.non_trainable_variables, self.others, strict=True)
            for variable, value in pairs:
                variable.assign(value)"""


STOP_AT_TARGET = '''
class StopAtTarget(keras.callbacks.Callback):
    """Ends the training as soon as the target is met."""

    def on_epoch_end(self, epoch, logs=None):
        if logs[MONITOR] {sign} {target}:
            self.model.stop_training = True
'''


EARLY_STOPPING = '''
class EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras' own, but for a first NaN, which is the best value to it whatever comes after."""

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.best = {worst}
'''


KEEP_BEST = '''
class KeepBest(keras.callbacks.Callback):
    """Follows {monitor} over several calls of fit."""

    def __init__(self):
        super().__init__()
        self.best = {worst}
        self.weights = None
        self.waited = 0
        self.done = False

    def on_epoch_end(self, epoch, logs=None):
        value = logs[MONITOR]
        self.waited += 1
        if value {better} self.best:
            self.best, self.waited = value, 0{keep}{stop}
'''


def callback_definitions(task: Task, plan: Plan) -> list[str]:
    """Return the callbacks that Keras lacks and the plan needs."""
    parts = [*penalty_definitions(plan), *plateau_definitions(task, plan)]
    if needs_own_averaging(plan):
        if _renews_norms(plan):
            names = ("normalizations", "batches_for_norms", "renew_norms")
            parts += [copied("slipstream.ops.norm_statistics", name) for name in names]
        parts.append(_averaged(plan))
    if fits_in_parts(plan):
        if follows_monitor(task, plan):
            parts.append(_keep_best(task, plan))
        return parts
    if stops_at_target(task, plan):
        sign = "<=" if task.better == "min" else ">="
        parts.append(STOP_AT_TARGET.format(sign=sign, target=task.target))
    if plan.duration.patience or plan.duration.restore_best:
        worst = "np.inf" if task.better == "min" else "-np.inf"
        parts.append(EARLY_STOPPING.format(worst=worst))
    return parts


def callback_lines(task: Task, plan: Plan) -> list[str]:
    """Return the list of callbacks for one call of fit, one a line or more."""
    lines = []
    if plan.runtime.loop == "slipstream":
        lines.append("keras.callbacks.LambdaCallback(on_epoch_begin=batches.start_epoch),")
        if penalises(plan):
            lines.append(f"{penalty_call(plan)},")
    if needs_own_averaging(plan):
        lines.append(f"{averaged_call(plan)},")
    elif plan.optimizer.ema:
        lines.append("keras.callbacks.SwapEMAWeights(swap_on_epoch=True),")
    lines.append('keras.callbacks.CSVLogger("history.csv"),')
    if lowers_on_plateau(plan):
        lines.append("LowerOnPlateau(),")
    if stops_at_target(task, plan):
        lines.append("StopAtTarget(),")
    duration = plan.duration
    if duration.patience or duration.restore_best:
        patience = str(duration.patience) if duration.patience else "EPOCHS"
        note = "" if duration.patience else "  # it stops nothing, it only keeps the best"
        restore = f", restore_best_weights={duration.restore_best}"
        lines += [
            f"EarlyStopping({note}",
            f'    MONITOR, mode="{task.better}", patience={patience}{restore}',
            "),",
        ]
    return lines


def _averaged(plan: Plan) -> str:
    optimizer = "self.model.optimizer"
    if plan.precision.policy == "mixed_float16":
        optimizer = "self.model.optimizer.inner_optimizer  # Keras scales the loss around it."
    if plan.optimizer.ema or plan.optimizer.swa:
        averages = "\n        ".join(
            [
                "averages = [",
                "    keras.ops.convert_to_numpy(variable).copy()",
                "    for variable in optimizer.variables",
                '    if variable.name.endswith("_average")',
                "]",
            ]
        )
    else:
        beta = plan.optimizer.beta_1
        averages = "\n        ".join(
            [
                "# Schedule-Free trains at y = (1 - beta) * z + beta * x and is judged at x.",
                'z = [v for v in optimizer.variables if v.name.endswith("_momentum")]',
                "averages = [",
                f"    (y - {1.0 - beta!r} * keras.ops.convert_to_numpy(z_i)) / {beta!r}",
                "    for y, z_i in zip(self.trained, z, strict=True)",
                "]",
            ]
        )
    count = plan.optimizer.norm_batches if _renews_norms(plan) else 0
    return AVERAGED.format(
        optimizer=optimizer,
        averages=averages,
        first=KEEP_BATCHES.format(size=plan.batch.size, count=count) if count else "",
        renew=RENEW if count else "",
        put_back=PUT_BACK if count else "",
    )


def _keep_best(task: Task, plan: Plan) -> str:
    keep = (
        "\n            self.weights = self.model.get_weights()"
        if plan.duration.restore_best
        else ""
    )
    conditions = []
    if plan.duration.patience:
        conditions.append(f"self.waited >= {plan.duration.patience}")
    if stops_at_target(task, plan):
        conditions.append(f"value {'<=' if task.better == 'min' else '>='} {task.target}")
    stop = f"\n        self.done = {' or '.join(conditions)}" if conditions else ""
    is_min = task.better == "min"
    return KEEP_BEST.format(
        monitor=in_comments(task.monitor),
        worst="np.inf" if is_min else "-np.inf",
        better="<" if is_min else ">",
        keep=keep,
        stop=stop,
    )


def needs_own_averaging(plan: Plan) -> bool:
    """Whether averaged weights are judged and Keras' own callback does not do it right."""
    settings, own = plan.optimizer, plan.runtime.loop == "slipstream"
    if settings.name == "schedule_free_adamw":
        return own
    if not settings.ema and not settings.swa:
        return False
    if settings.swa or _renews_norms(plan):
        return True
    duration = plan.duration
    # SwapEMAWeights leaves other weights than the averaged ones behind when fit ends early.
    ends_early = duration.patience > 0 or duration.stop_at_target
    return fits_in_parts(plan) or (ends_early and not duration.restore_best)


def averaged_call(plan: Plan) -> str:
    """Return how the script makes the callback that judges averaged weights."""
    return "AveragedWeights(train[0])" if _renews_norms(plan) else "AveragedWeights()"


def _renews_norms(plan: Plan) -> bool:
    return plan.optimizer.norm_batches > 0 and plan.runtime.loop == "slipstream"


def stops_at_target(task: Task, plan: Plan) -> bool:
    """Whether a target ends the training."""
    return plan.duration.stop_at_target and task.target is not None


def follows_monitor(task: Task, plan: Plan) -> bool:
    """Whether anything depends on the monitor."""
    duration = plan.duration
    return bool(duration.patience or duration.restore_best) or stops_at_target(task, plan)


def reads_monitor(task: Task, plan: Plan) -> bool:
    """Whether the script has to know what is watched."""
    return follows_monitor(task, plan) or lowers_on_plateau(plan)
