"""The part of a script that penalises weights, in training alone."""

from __future__ import annotations

from slipstream.errors import PlanError
from slipstream.export._copied import copied
from slipstream.export._loss_part import changes_in_words
from slipstream.plan import Plan
from slipstream.plan.losses import changes_loss

KERNELS = 'KERNELS = ("kernel", "recurrent_kernel", "depthwise_kernel", "pointwise_kernel")'

PENALTY = '''
class PenaltyInTraining(keras.callbacks.Callback):
    """Adds {words} of every kernel to the loss of training, not of validation."""
{init}
    def on_train_begin(self, logs=None):
        self.kernels = [
            variable
            for variable in self.model.trainable_variables
            if variable.name in KERNELS and variable.regularizer is None
        ]{begin}
        self.put({regularizer})

    def on_train_end(self, logs=None):
        self.put(None)

    def on_test_begin(self, logs=None):
        self.put(None)

    def on_test_end(self, logs=None):
        self.put({regularizer})
{follow}
    def put(self, regularizer):
        for kernel in self.kernels:
            kernel.regularizer = regularizer
'''

# Parts of PenaltyInTraining, where the penalties follow the gap between the losses.
INIT = """
    def __init__(self, split, num_validation):
        super().__init__()
        chosen = compared_examples(len(keras.tree.flatten(split)[0]), num_validation, SEED)
        self.x, self.y, *self.weights = keras.tree.map_structure(
            lambda array: array[chosen], tuple(split)
        )
        self.penalty = None
"""
BEGIN = """
        if self.penalty is None:
            factor = PenaltyFactor(self.model)
            self.penalty = ScaledPenalty({l1}, {l2}, factor)"""
FOLLOW = """
    def on_epoch_end(self, epoch, logs=None):
        # Training examples are judged as the validation examples were.
        self.put(None)
        loss = self.model.evaluate(
            self.x,
            self.y,
            batch_size=1024,
            sample_weight=self.weights[0] if self.weights else None,
            verbose=0,
            return_dict=True,
        )["loss"]
        self.put(self.penalty)
        factor = self.penalty.factor
        logs["penalty_gap"] = loss_gap(loss, logs["val_loss"])
        logs["penalty_factor"] = factor.value
        gap = logs["penalty_gap"]
        factor.assign(next_factor(factor.value, gap, {gap}, {step}, {limit}))
"""


PENALTY_NAMES = (
    *("PenaltyFactor", "ScaledPenalty", "loss_gap", "next_factor", "compared_examples"),
    "PenaltyInTraining",
)


def penalises(plan: Plan) -> bool:
    """Whether the plan penalises weights."""
    return plan.regularization.l1 > 0 or plan.regularization.l2 > 0


def penalty_definitions(plan: Plan) -> list[str]:
    """Return the callback that penalises weights, and what it needs.

    Raises:
        PlanError: The penalties follow the task's own loss, which the script does not have.
    """
    if not penalises(plan) or plan.runtime.loop == "keras":
        return []
    settings = plan.regularization
    if settings.adaptive_gap == 0:
        parts = {"init": "", "begin": "", "follow": "", "regularizer": penalty_source(plan)}
        return [PENALTY.format(words=_words(plan), **parts)]
    if changes_loss(plan):
        raise PlanError(
            "the task's own loss for a script of a plan with regularization.adaptive_gap",
            changes_in_words(plan),
            "Plain Keras has no loss of the task's own beside it to compare: set "
            "regularization.adaptive_gap = 0.",
            code="SLP-808",
        )
    aim, step = settings.adaptive_gap, settings.adaptive_step
    callback = PENALTY.format(
        words=f"{_words(plan)}, times a factor that follows the gap of the losses,",
        init=INIT,
        begin=BEGIN.format(l1=settings.l1, l2=settings.l2),
        follow=FOLLOW.format(gap=aim, step=step, limit=settings.adaptive_limit),
        regularizer="self.penalty",
    )
    needed = [copied("slipstream.ops.penalties", name) for name in PENALTY_NAMES[:-1]]
    return [*needed, callback]


def penalty_call(plan: Plan) -> str:
    """Return how the script makes the callback."""
    if plan.regularization.adaptive_gap == 0:
        return "PenaltyInTraining()"
    return "PenaltyInTraining(batches.split, len(keras.tree.flatten(validation)[0]))"


def penalty_source(plan: Plan) -> str:
    """Return the regularizer as source."""
    l1, l2 = plan.regularization.l1, plan.regularization.l2
    if l1 and l2:
        return f"keras.regularizers.L1L2({l1}, {l2})"
    return f"keras.regularizers.L1({l1})" if l1 else f"keras.regularizers.L2({l2})"


def _words(plan: Plan) -> str:
    l1, l2 = plan.regularization.l1, plan.regularization.l2
    terms = [f"{l1} * sum(|w|)"] if l1 else []
    return " + ".join([*terms, f"{l2} * sum(w**2)"] if l2 else terms)
