"""The part of a script that feeds examples, trains, evaluates and saves."""

from __future__ import annotations

from textwrap import indent

from slipstream.export._augment_part import (
    CHANGED,
    augment_definitions,
    has_one_hot_labels,
    kinds_lines,
)
from slipstream.export._callbacks_part import (
    averaged_call,
    callback_definitions,
    callback_lines,
    follows_monitor,
    needs_own_averaging,
    reads_monitor,
    stops_at_target,
)
from slipstream.export._data_part import Loading
from slipstream.export._learned_part import first_look_lines
from slipstream.export._loss_part import TASK_LOSS, watches_task_loss
from slipstream.export._model_part import build_calls
from slipstream.export._objects import literal
from slipstream.export._penalty_part import KERNELS, penalises, penalty_call
from slipstream.export._phases_part import fits_in_parts, phase_constants, thaw_lines
from slipstream.export._plateau_part import lowers_on_plateau
from slipstream.plan import Plan
from slipstream.plan.augmentation import augments, mixes_labels
from slipstream.task import Task

BATCHES = '''
class Batches(keras.utils.PyDataset):
    """The training examples in batches, in a new order in every epoch."""

    def __init__(self, split):
        super().__init__()
        self.split = split
        self.num_examples = len(keras.tree.flatten(split)[0])
        self.num_updates = {num_updates}{first_part}{kinds}
        self.start_epoch(0)

    def start_epoch(self, epoch, logs=None):
        """Draw the order of an epoch: it depends on the seed and the epoch alone."""
        random = np.random.Generator(np.random.Philox(key=[SEED, epoch]))
        self.order = random.permutation(self.num_examples){draw}

    def __len__(self):
        return {length}

    def __getitem__(self, index):
        start = {start}
        {batch}
{changed}'''

VALIDATION_BATCH_SIZE = 1024


def loop_constants(task: Task, plan: Plan, load: Loading) -> list[str]:
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
    lines += phase_constants(plan, load)
    if fits_in_parts(plan):
        lines.append(f"EVALUATIONS_PER_EPOCH = {plan.duration.evaluations_per_epoch}")
    if reads_monitor(task, plan):
        if watches_task_loss(task, plan):
            lines.append("# val_loss has smoothed labels in it; this is the task's own loss.")
        name = f"val_{TASK_LOSS}" if watches_task_loss(task, plan) else task.monitor
        lines.append(f"MONITOR = {literal(name)}")
    if penalises(plan):
        lines.append(KERNELS)
    return lines


def loop_definitions(task: Task, plan: Plan, load: Loading) -> list[str]:
    """Return the classes and functions that `main` of the script needs."""
    parts = augment_definitions(task, plan, weighted="train" in load.weighted)
    if plan.runtime.loop == "slipstream":
        parts.append(_batches(plan, "train" in load.weighted))
    parts += callback_definitions(task, plan)
    return parts


def main_function(task: Task, plan: Plan, load: Loading) -> str:
    """Return the script's function `main`."""
    lines = ['"""Load the data, train, save and evaluate."""', *load.lines]
    own = plan.runtime.loop == "slipstream"
    build = build_calls(plan)
    if own:
        lines.append("batches = Batches(train)")
        build = [call.replace("updates *", "batches.num_updates *") for call in build]
    elif any("updates" in call for call in build):
        lines.append("updates = -(-len(keras.tree.flatten(train)[0]) // BATCH_SIZE)")
    lines += [*build, *first_look_lines(plan)]
    if has_one_hot_labels(task, plan):
        names = ["validation", "test"] if load.has_test else ["validation"]
        one_hot = "one_hot_labels({}, num_classes)"
        lines += [
            "num_classes = model.output_shape[-1]",
            "batches.split = " + one_hot.format("train"),
            *(f"{name} = " + one_hot.format(name) for name in names),
        ]
    several = fits_in_parts(plan)
    lines += _fit_several(task, plan) if several else _fit_once(task, plan, load)
    split = "test" if load.has_test else "validation"
    weights = f", sample_weight={split}[2]" if split in load.weighted else ""
    lines += [
        "# Load it with keras.saving.load_model(..., compile=False).",
        'model.save("model.keras")',
        f"print(model.evaluate({split}[0], {split}[1]{weights}, verbose=0, return_dict=True))",
    ]
    return "def main() -> None:\n" + indent("\n".join(lines), "    ")


def _fit_once(task: Task, plan: Plan, load: Loading) -> list[str]:
    own = plan.runtime.loop == "slipstream"
    lines = [
        "callbacks = [",
        *indent("\n".join(callback_lines(task, plan)), "    ").splitlines(),
        "]",
    ]
    lines.append("model.fit(")
    if own:
        lines.append("    batches,")
    else:
        lines += ["    train[0],", "    train[1],"]
        lines += ["    sample_weight=train[2],"] if "train" in load.weighted else []
        lines.append("    batch_size=BATCH_SIZE,")
    lines += ["    epochs=EPOCHS,", "    validation_data=validation,"]
    if own:
        lines += [
            f"    validation_batch_size={VALIDATION_BATCH_SIZE},",
            "    shuffle=False,  # Batches has done it.",
        ]
    return [*lines, "    callbacks=callbacks,", "    verbose=2,", ")"]


def _fit_several(task: Task, plan: Plan) -> list[str]:
    follows = follows_monitor(task, plan)
    callbacks = []
    if penalises(plan):
        callbacks.append(penalty_call(plan))
    averages = needs_own_averaging(plan)
    if averages:
        callbacks.append("averaged")
    callbacks.append('keras.callbacks.CSVLogger("history.csv", append=True)')
    if lowers_on_plateau(plan):
        callbacks.append("LowerOnPlateau()")
    if follows:
        callbacks.append("keep_best")
    lines = ["keep_best = KeepBest()"] if follows else []
    lines += [f"averaged = {averaged_call(plan)}"] if averages else []
    thawing = thaw_lines(plan)
    if thawing:
        thawing += [f"        {line}" for line in first_look_lines(plan)]
    if averages and thawing:
        # What is trained on are the weights of the last update, not their averages.
        thawing.insert(1, "        averaged.on_epoch_begin(part)")
    lines += [
        "parts = min(EVALUATIONS_PER_EPOCH, batches.num_updates)",
        "ends = [round(batches.num_updates * (part + 1) / parts) for part in range(parts)]",
        "callbacks = [",
        *(f"    {callback}," for callback in callbacks),
        "]",
        'Path("history.csv").unlink(missing_ok=True)',
        "# Keras validates at the end of what it calls an epoch: here, of a part of one.",
        "for part in range(EPOCHS * parts):",
        *thawing,
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
    if follows and (plan.duration.patience or stops_at_target(task, plan)):
        lines += ["    if keep_best.done:", "        break"]
    if plan.duration.restore_best:
        lines += [
            "if keep_best.weights is not None:",
            "    model.set_weights(keep_best.weights)",
        ]
    return lines


def _batches(plan: Plan, has_weights: bool) -> str:
    keep = plan.batch.remainder == "keep"
    several = fits_in_parts(plan)
    draw = kinds = changed = ""
    take = "keras.tree.map_structure(lambda array: array[chosen], {})"
    batch = [
        "chosen = self.order[start : start + BATCH_SIZE]",
        f"return {take.format('self.split')}",
    ]
    if augments(plan):
        draw = "\n        self.draws = draw_all(self.kinds, self.num_examples, SEED, epoch)"
        kinds = "".join(f"\n        {line}" for line in kinds_lines(plan))
        changed = CHANGED
        batch = [
            "places = np.arange(start, min(start + BATCH_SIZE, self.num_examples))",
            "x, chosen = self.changed(places), self.order[places]",
            f"others = {take.format('self.split[1:]')}",
            *(_mixed(has_weights) if mixes_labels(plan) else ["return x, *others"]),
        ]
    updates = "-(-self.num_examples // BATCH_SIZE)"
    if not keep:
        updates = "max(1, self.num_examples // BATCH_SIZE)"
    return BATCHES.format(
        num_updates=updates,
        first_part="\n        self.first, self.last = 0, self.num_updates" if several else "",
        draw=draw,
        length="self.last - self.first" if several else "self.num_updates",
        start="(self.first + index) * BATCH_SIZE" if several else "index * BATCH_SIZE",
        batch="\n        ".join(batch),
        kinds=kinds,
        changed=changed,
    )


def _mixed(has_weights: bool) -> list[str]:
    """Return the lines that mix examples, and return them."""
    mixed = ['mix, draws = self.kinds["mix"], self.draws["mix"][places]']
    mixed += [
        "x = keras.tree.map_structure(",
        "    lambda a: mix.apply(a, np.roll(a, -1, axis=0), draws), x",
        ")",
    ]
    if has_weights:
        return [*mixed, "return x, *mix_labels(*others, draws[:, -1])"]
    return [*mixed, "return x, mix_labels(*others, draws[:, -1])"]
