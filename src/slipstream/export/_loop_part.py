"""The part of a script that feeds examples, trains, evaluates and saves."""

from __future__ import annotations

from textwrap import indent

from slipstream.data.augment import STREAM
from slipstream.export._model_part import TASK_LOSS, build_call, watches_task_loss
from slipstream.plan import Plan
from slipstream.task import Task

BATCHES = '''
class Batches(keras.utils.PyDataset):
    """The training examples in batches, in a new order in every epoch."""

    def __init__(self, split):
        super().__init__()
        self.split = split
        self.num_examples = len(keras.tree.flatten(split)[0])
        self.num_updates = {num_updates}{first_part}
        self.start_epoch(0)

    def start_epoch(self, epoch, logs=None):
        """Draw the order of an epoch: it depends on the seed and the epoch alone."""
        random = np.random.Generator(np.random.Philox(key=[SEED, epoch]))
        self.order = random.permutation(self.num_examples){draw}

    def __len__(self):
        return {length}

    def __getitem__(self, index):
        start = {start}
        chosen = self.order[start : start + BATCH_SIZE]
        {batch}
'''

AUGMENT = '''
def augment(images, draws):
    """Move images by up to SHIFT pixels{and_mirror}; zeros come in from outside."""
    num, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)))
    rows = np.arange(height) - draws[:, :1] + SHIFT
    columns = {columns}
    columns = columns - draws[:, 1:2] + SHIFT
    return padded[np.arange(num)[:, None, None], rows[:, :, None], columns[:, None, :]]
'''

PENALTY = '''
class PenaltyInTraining(keras.callbacks.Callback):
    """Adds {l2} * sum(w**2) of every kernel to the loss of training, not of validation."""

    def on_train_begin(self, logs=None):
        self.kernels = [
            variable
            for variable in self.model.trainable_variables
            if variable.name in KERNELS and variable.regularizer is None
        ]
        self.put(keras.regularizers.L2({l2}))

    def on_train_end(self, logs=None):
        self.put(None)

    def on_test_begin(self, logs=None):
        self.put(None)

    def on_test_end(self, logs=None):
        self.put(keras.regularizers.L2({l2}))

    def put(self, regularizer):
        for kernel in self.kernels:
            kernel.regularizer = regularizer
'''

AVERAGED = '''
class AveragedWeights(keras.callbacks.Callback):
    """Evaluates and keeps the averaged weights, and trains on with the others."""

    trained = None

    def on_test_begin(self, logs=None):
        variables = self.model.trainable_variables
        optimizer = {optimizer}
        self.trained = [keras.ops.convert_to_numpy(variable).copy() for variable in variables]
        {averages}
        for variable, value in zip(variables, averages, strict=True):
            variable.assign(value)

    def on_epoch_begin(self, epoch, logs=None):
        if self.trained is not None:
            for variable, value in zip(self.model.trainable_variables, self.trained, strict=True):
                variable.assign(value)
            self.trained = None
'''

STOP_AT_TARGET = '''
class StopAtTarget(keras.callbacks.Callback):
    """Ends the training as soon as the target is met."""

    def on_epoch_end(self, epoch, logs=None):
        if logs[MONITOR] {sign} {target}:
            self.model.stop_training = True
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

KERNELS = 'KERNELS = ("kernel", "recurrent_kernel", "depthwise_kernel", "pointwise_kernel")'
VALIDATION_BATCH_SIZE = 1024


def loop_constants(task: Task, plan: Plan) -> list[str]:
    """Return the constants of a script, one a line."""
    lines = [f"SEED = {plan.seeds.seed}", f"EPOCHS = {plan.duration.epochs}"]
    effective = plan.batch.size * plan.batch.accumulation
    if plan.batch.accumulation > 1:
        lines += [
            f"# The plan sums the gradients of {plan.batch.accumulation} batches of"
            f" {plan.batch.size}: one large batch has the same gradient and takes",
            "# more memory. Only layers that look at a whole batch (BatchNormalization) differ.",
        ]
    lines.append(f"BATCH_SIZE = {effective}")
    if plan.augmentation.shift or plan.augmentation.flip:
        lines.append(f"SHIFT = {plan.augmentation.shift}")
    if plan.duration.evaluations_per_epoch > 1:
        lines.append(f"EVALUATIONS_PER_EPOCH = {plan.duration.evaluations_per_epoch}")
    if _follows_monitor(task, plan):
        if watches_task_loss(task, plan):
            lines.append("# val_loss has smoothed labels in it; this is the task's own loss.")
        name = f"val_{TASK_LOSS}" if watches_task_loss(task, plan) else task.monitor
        lines.append(f'MONITOR = "{name}"')
    if plan.regularization.l2:
        lines.append(KERNELS)
    return lines


def loop_definitions(task: Task, plan: Plan, has_weights: bool) -> list[str]:
    """Return the classes and functions that `main` of the script needs."""
    parts = []
    if plan.augmentation.shift or plan.augmentation.flip:
        parts.append(_augment(plan))
    if plan.runtime.loop == "slipstream":
        parts.append(_batches(plan, has_weights))
        if plan.regularization.l2:
            parts.append(PENALTY.format(l2=plan.regularization.l2))
    if _needs_own_averaging(plan):
        parts.append(_averaged(plan))
    if plan.duration.evaluations_per_epoch > 1:
        if _follows_monitor(task, plan):
            parts.append(_keep_best(task, plan))
    elif _stops_at_target(task, plan):
        sign = "<=" if task.better == "min" else ">="
        parts.append(STOP_AT_TARGET.format(sign=sign, target=task.target))
    return parts


def main_function(task: Task, plan: Plan, load: str, has_test: bool, has_weights: bool) -> str:
    """Return the script's function `main`."""
    lines = ['"""Load the data, train, save and evaluate."""', *load.splitlines()]
    own = plan.runtime.loop == "slipstream"
    build = build_call(plan)
    if own:
        lines.append("batches = Batches(train)")
        build = build.replace("updates *", "batches.num_updates *")
    elif "updates" in build:
        lines.append("updates = -(-len(keras.tree.flatten(train)[0]) // BATCH_SIZE)")
    lines.append(f"model = {build}")
    several = plan.duration.evaluations_per_epoch > 1
    lines += _fit_several(task, plan) if several else _fit_once(task, plan, has_weights)
    split = "test" if has_test else "validation"
    weights = f", sample_weight={split}[2]" if has_weights else ""
    lines += [
        "# Load it with keras.saving.load_model(..., compile=False).",
        'model.save("model.keras")',
        f"print(model.evaluate({split}[0], {split}[1]{weights}, verbose=0, return_dict=True))",
    ]
    return "def main() -> None:\n" + indent("\n".join(lines), "    ")


def _fit_once(task: Task, plan: Plan, has_weights: bool) -> list[str]:
    own = plan.runtime.loop == "slipstream"
    lines = ["callbacks = [", *indent("\n".join(_callbacks(task, plan)), "    ").splitlines(), "]"]
    lines.append("model.fit(")
    if own:
        lines.append("    batches,")
    else:
        lines += ["    train[0],", "    train[1],"]
        lines += ["    sample_weight=train[2],"] if has_weights else []
        lines.append("    batch_size=BATCH_SIZE,")
    lines += ["    epochs=EPOCHS,", "    validation_data=validation,"]
    if own:
        lines += [
            f"    validation_batch_size={VALIDATION_BATCH_SIZE},",
            "    shuffle=False,  # Batches has done it.",
        ]
    return [*lines, "    callbacks=callbacks,", "    verbose=2,", ")"]


def _callbacks(task: Task, plan: Plan) -> list[str]:
    lines = []
    if plan.runtime.loop == "slipstream":
        lines.append("keras.callbacks.LambdaCallback(on_epoch_begin=batches.start_epoch),")
        if plan.regularization.l2:
            lines.append("PenaltyInTraining(),")
    if _needs_own_averaging(plan):
        lines.append("AveragedWeights(),")
    elif plan.optimizer.ema:
        lines.append("keras.callbacks.SwapEMAWeights(swap_on_epoch=True),")
    lines.append('keras.callbacks.CSVLogger("history.csv"),')
    if _stops_at_target(task, plan):
        lines.append("StopAtTarget(),")
    duration = plan.duration
    if duration.patience or duration.restore_best:
        patience = str(duration.patience) if duration.patience else "EPOCHS"
        note = "" if duration.patience else "  # it stops nothing, it only keeps the best"
        restore = f", restore_best_weights={duration.restore_best}"
        lines += [
            f"keras.callbacks.EarlyStopping({note}",
            f'    MONITOR, mode="{task.better}", patience={patience}{restore}',
            "),",
        ]
    return lines


def _fit_several(task: Task, plan: Plan) -> list[str]:
    follows = _follows_monitor(task, plan)
    callbacks = []
    if plan.regularization.l2:
        callbacks.append("PenaltyInTraining()")
    if _needs_own_averaging(plan):
        callbacks.append("AveragedWeights()")
    callbacks.append('keras.callbacks.CSVLogger("history.csv", append=True)')
    if follows:
        callbacks.append("keep_best")
    lines = ["keep_best = KeepBest()"] if follows else []
    lines += [
        "parts = min(EVALUATIONS_PER_EPOCH, batches.num_updates)",
        "ends = [round(batches.num_updates * (part + 1) / parts) for part in range(parts)]",
        "callbacks = [",
        *(f"    {callback}," for callback in callbacks),
        "]",
        'Path("history.csv").unlink(missing_ok=True)',
        "# Keras validates at the end of what it calls an epoch: here, of a part of one.",
        "for part in range(EPOCHS * parts):",
        "    if part % parts == 0:",
        "        batches.start_epoch(part // parts)",
        "    batches.first, batches.last = ([0, *ends])[part % parts], ends[part % parts]",
        "    model.fit(",
        "        batches,",
        "        initial_epoch=part,",
        "        epochs=part + 1,",
        "        validation_data=validation,",
        f"        validation_batch_size={VALIDATION_BATCH_SIZE},",
        "        shuffle=False,",
        "        callbacks=callbacks,",
        "        verbose=2,",
        "    )",
    ]
    if follows and (plan.duration.patience or _stops_at_target(task, plan)):
        lines += ["    if keep_best.done:", "        break"]
    if plan.duration.restore_best:
        lines += [
            "if keep_best.weights is not None:",
            "    model.set_weights(keep_best.weights)",
        ]
    return lines


def _batches(plan: Plan, has_weights: bool) -> str:
    keep = plan.batch.remainder == "keep"
    several = plan.duration.evaluations_per_epoch > 1
    is_augmented = plan.augmentation.shift > 0 or plan.augmentation.flip
    draw = ""
    take = "keras.tree.map_structure(lambda array: array[chosen], self.split)"
    batch = f"return {take}"
    if is_augmented:
        draw = _draw(plan)
        names = "x, y, weights" if has_weights else "x, y"
        images = "lambda a: augment(a, draws) if a.ndim == 4 else a"
        batch = "\n        ".join(
            [
                "draws = self.draws[start : start + BATCH_SIZE]",
                f"{names} = {take}",
                f"return keras.tree.map_structure({images}, x), {names.removeprefix('x, ')}",
            ]
        )
    updates = "-(-self.num_examples // BATCH_SIZE)"
    if not keep:
        updates = "max(1, self.num_examples // BATCH_SIZE)"
    return BATCHES.format(
        num_updates=updates,
        first_part="\n        self.first, self.last = 0, self.num_updates" if several else "",
        draw=draw,
        length="self.last - self.first" if several else "self.num_updates",
        start="(self.first + index) * BATCH_SIZE" if several else "index * BATCH_SIZE",
        batch=batch,
    )


def _draw(plan: Plan) -> str:
    lines = [
        "",
        "# A stream of its own, so that augmentation leaves the order alone.",
        f"stream = np.random.Philox(key=[SEED, epoch], counter=[0, 0, 0, {STREAM}])",
        "random = np.random.Generator(stream)",
        "moves = random.integers(-SHIFT, SHIFT + 1, (self.num_examples, 2))",
    ]
    if plan.augmentation.flip:
        lines += [
            "mirrors = random.integers(0, 2, (self.num_examples, 1))",
            "self.draws = np.concatenate([moves, mirrors], axis=1)",
        ]
    else:
        lines.append("self.draws = moves")
    return "\n        ".join(lines)


def _augment(plan: Plan) -> str:
    columns = "np.arange(width)[None, :].repeat(num, 0)"
    if plan.augmentation.flip:
        columns += "\n    columns = np.where(draws[:, 2:3] == 1, width - 1 - columns, columns)"
    and_mirror = " and mirror every second one" if plan.augmentation.flip else ""
    return AUGMENT.format(columns=columns, and_mirror=and_mirror)


def _averaged(plan: Plan) -> str:
    optimizer = "self.model.optimizer"
    if plan.precision.policy == "mixed_float16":
        optimizer = "self.model.optimizer.inner_optimizer  # Keras scales the loss around it."
    if plan.optimizer.ema:
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
    return AVERAGED.format(optimizer=optimizer, averages=averages)


def _keep_best(task: Task, plan: Plan) -> str:
    keep = (
        "\n            self.weights = self.model.get_weights()"
        if plan.duration.restore_best
        else ""
    )
    conditions = []
    if plan.duration.patience:
        conditions.append(f"self.waited >= {plan.duration.patience}")
    if _stops_at_target(task, plan):
        conditions.append(f"value {'<=' if task.better == 'min' else '>='} {task.target}")
    stop = f"\n        self.done = {' or '.join(conditions)}" if conditions else ""
    is_min = task.better == "min"
    return KEEP_BEST.format(
        monitor=task.monitor,
        worst="np.inf" if is_min else "-np.inf",
        better="<" if is_min else ">",
        keep=keep,
        stop=stop,
    )


def _needs_own_averaging(plan: Plan) -> bool:
    if plan.optimizer.name == "schedule_free_adamw":
        return plan.runtime.loop == "slipstream"
    if not plan.optimizer.ema:
        return False
    duration = plan.duration
    # SwapEMAWeights leaves other weights than the averaged ones behind when fit ends early.
    ends_early = duration.patience > 0 or duration.stop_at_target
    return duration.evaluations_per_epoch > 1 or (ends_early and not duration.restore_best)


def _stops_at_target(task: Task, plan: Plan) -> bool:
    return plan.duration.stop_at_target and task.target is not None


def _follows_monitor(task: Task, plan: Plan) -> bool:
    duration = plan.duration
    return bool(duration.patience or duration.restore_best) or _stops_at_target(task, plan)
