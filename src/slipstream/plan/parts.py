"""The sections of a plan: frozen, typed values. What a key means is its description here, once."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from slipstream.plan.lengths import Length, LengthOrNone, Pieces
from slipstream.plan.section import BelowOne, Count, Fraction, NonNegative, Positive, Section
from slipstream.plan.sizes import Size

OptimizerName = Literal[
    "sgd",
    "adam",
    "adamw",
    "nadam",
    "rmsprop",
    "adagrad",
    "adadelta",
    "adafactor",
    "lion",
    "lamb",
    "lars",
    "muon",
    "schedule_free_adamw",
]
ScheduleName = Literal[
    "constant",
    "cosine",
    "linear",
    "polynomial",
    "one_cycle",
    "warmup_stable_decay",
    "exponential",
    "inverse_time",
    "step_decay",
    "piecewise_constant",
    "warm_restarts",
]
BackendName = Literal["tensorflow", "jax", "torch"]
PrecisionPolicy = Literal["float32", "mixed_bfloat16", "mixed_float16", "graph_bfloat16"]


class Optimizer(Section):
    """How a gradient becomes an update. The learning rate is schedule.peak."""

    name: OptimizerName = Field(default="adam", description="the update rule")
    momentum: BelowOne = Field(
        default=0.0, description="sgd, rmsprop, lars: share of the last update kept"
    )
    nesterov: bool = Field(default=False, description="sgd: look ahead along the momentum")
    beta_1: BelowOne = Field(
        default=0.9, description="adam family, lamb, lion, muon: decay of the mean gradient"
    )
    beta_2: BelowOne = Field(
        default=0.999, description="adam family, lamb, lion: decay of the mean square"
    )
    rho: BelowOne = Field(default=0.9, description="rmsprop, adadelta: decay of the mean square")
    trust: Positive = Field(
        default=0.02, description="lars: share of a matrix's norm that rate 1 moves it by"
    )
    epsilon: Positive = Field(default=1e-7, description="added to the denominator")
    weight_decay: NonNegative = Field(
        default=0.0, description="decoupled: weights shrink by rate * decay"
    )
    decay_norm_and_bias: bool = Field(
        default=False, description="whether biases and norm scales decay too"
    )
    sam: NonNegative = Field(
        default=0.0, description="radius within which the worst gradient is taken; 0 is off"
    )
    lookahead: Annotated[int, Field(ge=0)] = Field(
        default=0, description="updates after which slow weights follow the fast ones; 0 is off"
    )
    lookahead_share: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=0.5, description="how much of the way the slow weights go"
    )
    ema: BelowOne = Field(default=0.0, description="decay of the averaged weights; 0 is off")
    swa: BelowOne = Field(
        default=0.0,
        description="last fraction of the run whose epochs' final weights are averaged; 0 is off",
    )
    norm_batches: Annotated[int, Field(ge=0)] = Field(
        default=32,
        description="batches from which BatchNormalization's statistics are computed anew for"
        " averaged weights; 0 leaves them",
    )


class Groups(Section):
    """Learning rates that differ from layer to layer, as factors on the schedule's."""

    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=1.0, description="factor from each layer to the one before it; 1 is off"
    )
    pattern: str = Field(
        default="", description="regular expression: variables whose path it is found in"
    )
    rate: NonNegative = Field(
        default=1.0, description="factor of the variables that the pattern names"
    )


class Schedule(Section):
    """The learning rate at each update. Lengths: fractions of the run, "500 steps", "2 epochs"."""

    name: ScheduleName = Field(
        default="constant", description="shape of the curve after the warm-up"
    )
    peak: Positive = Field(default=1e-3, description="the highest learning rate")
    warmup: LengthOrNone = Field(
        default=0.0, description="the part of the run that climbs linearly to the peak"
    )
    floor: Fraction = Field(
        default=0.0, description="where a decay ends, as a fraction of the peak"
    )
    decay_rate: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=0.1,
        description="exponential, step_decay, inverse_time: what is left after decay_every",
    )
    decay_every: Length = Field(
        default=0.3, description="exponential, step_decay, inverse_time: length between decays"
    )
    staircase: bool = Field(
        default=False, description="exponential, inverse_time: the rate stays level in between"
    )
    power: Positive = Field(default=2.0, description="polynomial: 1 is a straight line")
    decay_last: Length = Field(
        default=0.2, description="warmup_stable_decay: the last part of the run, which decays"
    )
    decay_shape: Literal["linear", "sqrt"] = Field(
        default="linear", description="warmup_stable_decay: linear, or 1 - sqrt(part)"
    )
    pieces: Pieces = Field(
        default="0.5: 0.1, 0.75: 0.01",
        description="piecewise_constant: 'length from the start: fraction of the peak, ...'",
    )
    cycles: Count = Field(default=3, description="warm_restarts: number of equal cosine cycles")
    momentum_low: BelowOne = Field(
        default=0.0,
        description="one_cycle: momentum (adam, adamw: beta_1) at the peak rate; 0 is off",
    )
    plateau_patience: Annotated[int, Field(ge=0)] = Field(
        default=0, description="lower the rate after this many evaluations without a better one"
    )
    plateau_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        default=0.5, description="what the rate is multiplied by then, on top of the schedule"
    )
    plateau_floor: Fraction = Field(default=0.0, description="lowest product of these factors")
    plateau_cooldown: Annotated[int, Field(ge=0)] = Field(
        default=0, description="evaluations after a lowering that do not count"
    )
    plateau_min_delta: NonNegative = Field(
        default=0.0, description="smallest change of the watched value that is better"
    )


class Batch(Section):
    """How many examples make one update."""

    size: Count = Field(default=32, description="examples per forward pass")
    accumulation: Count = Field(default=1, description="batches whose gradients make one update")
    remainder: Literal["keep", "drop"] = Field(
        default="keep", description="what happens to an epoch's last, smaller batch"
    )
    rate_scaling: Literal["none", "linear", "sqrt"] = Field(
        default="none", description="how the learning rate follows the examples of an update"
    )
    rate_base: Count = Field(
        default=32, description="rate_scaling: examples an update that schedule.peak is meant for"
    )


class Clipping(Section):
    """Bounds on the gradient: one of these, or none."""

    value: NonNegative = Field(
        default=0.0, description="largest size of each single element; 0 is off"
    )
    norm: NonNegative = Field(
        default=0.0, description="largest norm of each variable's gradient; 0 is off"
    )
    global_norm: NonNegative = Field(
        default=0.0, description="largest norm of the whole gradient; 0 is off"
    )
    adaptive: NonNegative = Field(
        default=0.0,
        description="largest norm of each unit's gradient, by the norm of its weights; 0 is off",
    )
    quantile: BelowOne = Field(
        default=0.0, description="largest norm, as a quantile of those seen lately; 0 is off"
    )
    window: Annotated[int, Field(ge=2, le=10_000)] = Field(
        default=100, description="quantile: how many of the last norms count"
    )


class Precision(Section):
    """Number formats. Weights, outputs and losses stay in float32."""

    policy: PrecisionPolicy = Field(
        default="float32",
        description="float32, Keras' mixed policies, or graph_bfloat16 (TensorFlow's own rewrite)",
    )
    float32_layers: str = Field(
        default="",
        description="mixed policies: names of layers that stay in float32, like 'a, b'; auto finds"
        " them by measurement",
    )
    tf32: Literal["as_backend", "on", "off"] = Field(
        default="as_backend", description="GPU: products of float32 in TensorFloat-32"
    )

    def names(self) -> tuple[str, ...]:
        """Return the layers that are named; none where they are to be found."""
        if self.float32_layers.strip() == "auto":
            return ()
        return tuple(name.strip() for name in self.float32_layers.split(",") if name.strip())


class Regularization(Section):
    """What keeps the model from learning the training set by heart."""

    l1: NonNegative = Field(default=0.0, description="penalty l1 * sum(|w|) on every kernel")
    l2: NonNegative = Field(default=0.0, description="penalty l2 * sum(w**2) on every kernel")
    adaptive_gap: BelowOne = Field(
        default=0.0,
        description="part of the validation loss that training is ahead by, up to which l1 and l2 "
        "shrink and from which they grow at each evaluation; 0 leaves them as they are",
    )
    adaptive_step: Annotated[float, Field(gt=1.0, le=100.0)] = Field(
        default=1.5, description="largest factor on l1 and l2 at one evaluation"
    )
    adaptive_limit: Annotated[float, Field(gt=1.0, le=1e6)] = Field(
        default=100.0, description="largest factor on l1 and l2 in all; its inverse is the smallest"
    )
    dropout: BelowOne | Literal["as_model"] = Field(
        default="as_model",
        description="rate of every Dropout layer; one is added before the output if none",
    )
    spatial_dropout: BelowOne = Field(
        default=0.0,
        description="rate at which channels are dropped after convolutions, by the Dropout layers "
        "there or by new ones; 0 is off",
    )
    drop_connect: BelowOne = Field(
        default=0.0,
        description="rate at which weights of dense and convolutional kernels are dropped; 0 is "
        "off",
    )
    stochastic_depth: BelowOne = Field(
        default=0.0,
        description="rate at which examples pass the last residual branch by, linearly less for "
        "those before it; 0 is off",
    )
    label_smoothing: BelowOne = Field(
        default=0.0, description="share of each label spread evenly over all classes"
    )


class DataPipeline(Section):
    """How examples reach the model."""

    cache: Literal["host", "device", "disk", "hybrid", "none"] = Field(
        default="host",
        description="where examples rest; those of files: decoded once, hybrid is memory then disk",
    )
    memory_budget: Size = Field(
        default="auto",
        description="files: memory for examples, like '512MiB'; auto is half of what is free",
    )
    threads: Annotated[int, Field(ge=0)] = Field(
        default=0, description="threads that read and decode ahead; 0 is one for each processor"
    )
    prefetch: Annotated[int, Field(ge=0)] | Literal["auto"] = Field(
        default="auto",
        description="calls into the backend made ready ahead; auto is 2 for files, 0 for arrays",
    )


class Runtime(Section):
    """What executes the plan."""

    backend: BackendName = Field(default="tensorflow", description="the framework under Keras")
    jit: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="compile the step with XLA; torch on a GPU: off records no CUDA graphs",
    )
    eager: bool = Field(
        default=False,
        description="for debugging: each operation by itself, nothing compiled, no native kernels",
    )
    steps_per_execution: Count = Field(default=1, description="updates per call into the backend")
    lowering: bool = Field(
        default=True, description="torch: recognised layers run through native kernels"
    )
    loop: Literal["slipstream", "keras"] = Field(
        default="slipstream",
        description="whose training loop runs; keras is there to be compared with",
    )


class Duration(Section):
    """How long, and what ends it."""

    epochs: Count = Field(default=20, description="passes over the training set")
    evaluations_per_epoch: Count = Field(default=1, description="validations in each epoch")
    patience: Annotated[int, Field(ge=0)] = Field(
        default=0, description="stop after this many evaluations without a better one; 0 is off"
    )
    stop_at_target: bool = Field(
        default=False, description="stop as soon as the task's target is met"
    )
    restore_best: bool = Field(
        default=True, description="end with the weights of the best evaluation"
    )


class Monitoring(Section):
    """What is looked at while it trains. The training stays as it is."""

    layers_every: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="evaluations from one look at gradients and activations to the next; 0 is off",
    )
    histograms: bool = Field(
        default=False,
        description="TensorBoard: weights, gradients and activations of each such look",
    )
    wrong_images: Annotated[int, Field(ge=0, le=64)] = Field(
        default=0, description="TensorBoard: wrongly classified images shown at each evaluation"
    )
    profile: Annotated[int, Field(ge=0)] = Field(
        default=0, description="updates that a profile is taken of, once it is compiled; 0 is off"
    )
    landscape: bool = Field(
        default=False, description="after the training: the loss around the final weights"
    )


class Guard(Section):
    """What becomes of updates that would ruin a training: undone, left out, and named."""

    non_finite: bool = Field(
        default=True, description="leave out updates whose loss or gradients are not finite"
    )
    spike: NonNegative = Field(
        default=0.0,
        description="leave out updates whose loss is this many deviations above the median of "
        "those before; 0 is off",
    )
    window: Annotated[int, Field(ge=8, le=10_000)] = Field(
        default=100,
        description="updates whose losses a spike is compared with, and in which trouble repeats",
    )
    lower_after: Annotated[int, Field(ge=0)] = Field(
        default=3, description="troubles within the window that lower the rate; 0 is never"
    )
    rate_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        default=0.5, description="what the rate is multiplied by then, for the rest of the run"
    )
    retries: Annotated[int, Field(ge=0)] = Field(
        default=5, description="troubles within the window; one more ends the run"
    )


class Seeds(Section):
    """What makes a run repeatable."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        default=0,
        description="initial weights, data order, dropout and augmentation follow from it",
    )
