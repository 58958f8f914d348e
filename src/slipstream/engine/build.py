"""From (task, plan) to a built and compiled Keras model, ready to be stepped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

from slipstream.backends.seeding import set_random_seed
from slipstream.data.mixed_labels import MixedLabels
from slipstream.data.order import epoch_order
from slipstream.data.splits import Data, Split
from slipstream.engine.class_weights import refuse_own_loss
from slipstream.engine.extras import applied_to_optimizer, extras_of
from slipstream.engine.hybrid import keep_in_float32
from slipstream.engine.losses import (
    learned_weights,
    metrics_of,
    resolve_loss,
    training_loss,
)
from slipstream.engine.memory import is_out_of_memory
from slipstream.engine.mixing import few_mixed
from slipstream.engine.optimizers import build_optimizer, is_built_early
from slipstream.engine.outputs import output_facts
from slipstream.engine.phases import Phases
from slipstream.engine.precision import scaled, set_formats, set_policies
from slipstream.engine.regularize import drop, penalise
from slipstream.errors import BackendError, PlanError, SlipstreamError, TaskError, line_of
from slipstream.ops.optimizer_extras import Extras
from slipstream.plan import Plan
from slipstream.plan.augmentation import mixes_labels
from slipstream.plan.losses import changes_loss
from slipstream.rewrite.initialization import SCALED_BY
from slipstream.rewrite.normalization import set_batch_norm_momentum
from slipstream.rewrite.penalty import Penalty
from slipstream.rewrite.planned import frozen_norms, rewritten
from slipstream.task import Task


@dataclass(frozen=True)
class Built:
    """A compiled model, with what the engine needs to judge it by the task's own loss.

    `float32_layers` are the places of the layers that a measurement left in float32. `phases` are
    what it is trained in, where the plan has two; it stands in the first.
    `labels` says how labels are mixed, where the plan mixes examples. `plain` are the same layers
    without those that drop channels and branches: weights fit the task's own model when they are
    written from it. `applied` states what was done of the plan, by plan key, and `notes` what was
    not, and why. Both are added to when the program is opened.
    """

    model: Any
    penalty: Penalty
    task_loss: Any
    applied: dict[str, str]
    notes: list[str] = field(default_factory=list)
    labels: MixedLabels | None = None
    phases: Phases | None = None
    plain: Any = None
    float32_layers: tuple[int, ...] | None = None

    @property
    def stored(self) -> Any:
        """The model whose order of layers files of weights have."""
        return self.model if self.plain is None else self.plain

    @contextmanager
    def judged_by_the_task(self) -> Iterator[None]:
        """Within it the model's loss is the task's: no smoothing, no penalty of the plan's."""
        training_loss = self.model._compile_loss
        self.model._compile_loss = self.task_loss
        try:
            with self.penalty.lifted():
                yield
        finally:
            self.model._compile_loss = training_loss


def check_backend(plan: Plan) -> None:
    """Raise BackendError when this process does not run on the plan's backend."""
    current = keras.backend.backend()
    if plan.runtime.backend != current:
        raise BackendError(
            f"a process on the plan's backend, {plan.runtime.backend}",
            f"one in which Keras runs on {current}",
            "Start it with KERAS_BACKEND set, or use the slipstream command, which does.",
            code="SLP-035",
        )


def build(
    task: Task,
    plan: Plan,
    data: Data,
    learning_rate: Any,
    float32_layers: Sequence[int] | None = None,
) -> Built:
    """Build the task's model, change it as the plan says, and compile it.

    Args:
        task: The task.
        plan: The plan.
        data: The task's data.
        learning_rate: What the optimizer begins with.
        float32_layers: What a measurement found before that is not to be made anew.

    Raises:
        BackendError: Keras runs on another backend than the plan's.
        TaskError: The task's function fails, or returns no Keras model.
        PlanError: A part of the plan has no place in this model.
    """
    check_backend(plan)
    set_random_seed(plan.seeds.seed)
    formats = set_formats(plan)
    model = build_model(task, data.train)
    _refuse_own_step(model, plan)
    refuse_own_loss(model, plan)
    model, applied = _rewritten(model, plan, data.train)
    applied |= formats
    policies, notes = set_policies(model, plan)
    applied |= policies
    plain = model
    model, dropped = drop(model, plan)
    applied |= dropped
    if plan.architecture.batch_norm_momentum != "as_model":
        num_layers = set_batch_norm_momentum(model, plan.architecture.batch_norm_momentum)
        applied["architecture.batch_norm_momentum"] = f"on {num_layers} layers"
    penalty, penalised = penalise(model, plan)
    applied |= penalised
    applied |= frozen_norms(model, plan.architecture)
    phases = Phases(plan, model) if plan.transfer.is_on else None
    if phases is not None:
        applied |= phases.applied()
    log_variances = learned_weights(task, plan, model)
    extras = extras_of(plan, model, data.train)
    _compile(task, plan, model, learning_rate, extras)
    applied |= applied_to_optimizer(plan, model, extras)
    task_loss = model._compile_loss
    labels = None
    if plan.runtime.loop == "slipstream":
        # Keras' fit does it by itself, with a first look at the data that advances their shuffling.
        build_state(model, data.train)
    if changes_loss(plan) or mixes_labels(plan):
        outputs = list(output_facts(task, model, data.train))
        training = training_loss(task, plan, model, outputs, log_variances, data.train)
        model._compile_loss = training.compiled
        build_state(model, data.train, training.labels)
        labels = training.labels
        applied |= training.applied
    built = Built(model, penalty, task_loss, applied, notes, labels, phases, plain)
    if plan.precision.float32_layers != "auto":
        return built
    with built.judged_by_the_task():
        found, places = keep_in_float32(model, plan, data.train, float32_layers)
    applied["precision.float32_layers"] = found
    return replace(built, float32_layers=places)


def build_model(task: Task, train: Split) -> Any:
    """Call the task's model function and build what it returns on the shapes of the data."""
    try:
        model = task.model()
    except SlipstreamError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        message = next(iter(str(error).strip().splitlines()), "").removesuffix(".")
        raise TaskError(
            f"the model function of task '{task.name}' to return a model",
            f"{type(error).__name__}: {message}{line_of(error)}",
            "Mend that line; call the function by itself in a Python prompt to see more.",
            code="SLP-211",
        ) from error
    if not isinstance(model, keras.Model):
        raise TaskError(
            f"the model function of task '{task.name}' to return a keras.Model",
            type(model).__name__,
            "Return the uncompiled model itself.",
            code="SLP-212",
        )
    if not model.built:
        few = train.take(np.arange(min(2, train.num_examples)))
        model(few.x)
    return model


def _rewritten(model: Any, plan: Plan, train: Split) -> tuple[Any, dict[str, str]]:
    """Return the model as the plan's section [architecture] has it, and what was done."""
    order = epoch_order(train.num_examples, plan.seeds.seed, 0)
    few = train.take(np.arange(min(2, train.num_examples)))
    return rewritten(model, plan.architecture, few.x, lambda: train.take(order[:SCALED_BY]).x)


def _refuse_own_step(model: Any, plan: Plan) -> None:
    if type(model).train_step is keras.Model.train_step:
        return
    if plan.optimizer.sam > 0:
        raise PlanError(
            "optimizer.sam = 0 for a model with a train_step of its own",
            f"optimizer.sam = {plan.optimizer.sam} for {type(model).__name__}, whose train_step "
            "takes one gradient an update",
            "Set optimizer.sam = 0, or override compute_loss in place of train_step.",
            code="SLP-129",
        )
    if plan.batch.accumulation > 1:
        raise PlanError(
            "batch.accumulation = 1 for a model with a train_step of its own",
            f"batch.accumulation = {plan.batch.accumulation} for {type(model).__name__}, whose "
            "train_step makes an update from one batch",
            "Set batch.accumulation = 1, or override compute_loss in place of train_step.",
            code="SLP-130",
        )


def jit_setting(plan: Plan) -> bool | str:
    """Return the plan's jit as `Model.compile` takes it."""
    return "auto" if plan.runtime.jit == "auto" else plan.runtime.jit == "on"


def _compile(task: Task, plan: Plan, model: Any, learning_rate: Any, extras: Extras | None) -> None:
    optimizer = build_optimizer(plan, model, learning_rate, extras)
    if is_built_early(optimizer):
        optimizer.build(model.trainable_variables)
    try:
        model.compile(
            optimizer=scaled(optimizer, plan),
            loss=resolve_loss(task.loss),
            loss_weights=task.loss_weights,
            metrics=metrics_of(task) or None,
            jit_compile=jit_setting(plan),
            run_eagerly=plan.runtime.eager,
            steps_per_execution=plan.runtime.steps_per_execution
            if plan.runtime.loop == "keras"
            else 1,
        )
    except (ValueError, TypeError) as error:
        raise TaskError(
            f"loss and metrics of task '{task.name}' that Keras can compile",
            str(error).splitlines()[0],
            "Use names and settings that Model.compile takes.",
            code="SLP-213",
        ) from error


def build_state(model: Any, train: Split, labels: MixedLabels | None = None) -> None:
    """Make every variable of optimizer, loss and metrics, so that a step makes none."""
    few = train.take(np.arange(min(2, train.num_examples)))
    model._symbolic_build(data_batch=few_mixed(few, labels) if labels else few.parts())
