"""Steps that ask the host for nothing, and their recordings, with a stand-in for CUDA graphs.

What is drawn on a GPU comes here from NumPy: PyTorch has no kernel for it on the processor.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import keras
import numpy as np
import pytest
import torch

from slipstream import fit, lowering
from slipstream.backends import open_program, state_of
from slipstream.backends._cuda import PROOFS, WARM_UP, _Questions
from slipstream.backends.seeding import set_random_seed
from slipstream.data.splits import Data, Split
from slipstream.engine import train
from slipstream.lowering import _draw, lower_step
from slipstream.ops.clipping import ClipWatch
from slipstream.plan import Plan, parts
from slipstream.task import Task

layers, optimizers = keras.layers, keras.optimizers
BATCH, UPDATES, CLASSES, EXAMPLES = 4, 9, 3, 24
RATES = np.linspace(0.001, 0.02, UPDATES, dtype=np.float32)


def numbers_of(key: torch.Tensor, shape: torch.Size, draw: str) -> torch.Tensor:
    generator = np.random.Generator(np.random.Philox(key=key.numpy()))
    drawn = generator.random(shape) if draw == "random" else generator.normal(size=shape)
    return torch.from_numpy(drawn)


@pytest.fixture(scope="module")
def philox() -> Iterator[None]:
    """Have the processor draw, too, where only CUDA does."""
    library = torch.library.Library("aten", "IMPL")
    library.impl(
        "_philox_uniform_",
        lambda out, key, low=0.0, high=1.0: out.copy_(numbers_of(key, out.shape, "random")),
        "CPU",
    )
    library.impl(
        "_philox_normal_",
        lambda out, key, mean=0.0, std=1.0: out.copy_(
            numbers_of(key, out.shape, "normal") * std + mean
        ),
        "CPU",
    )
    # Shapes, which is all that there is of tensors on the device "meta".
    library.impl("_fused_adamw_.tensor_lr", lambda *args, **kwargs: None, "Meta")
    yield
    library._destroy()


@pytest.fixture(autouse=True)
def draws_as_a_device(philox: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_draw, "draws_by_itself", lambda state: True)


class Replayed:
    """Records a step by keeping it: a replay runs it again."""

    def __init__(self) -> None:
        self.warm_ups = self.captures = self.replays = 0

    def warm_up(self, step):
        self.warm_ups += 1
        step()

    def capture(self, step):
        self.captures += 1

        def replay():
            self.replays += 1
            step()

        return replay


class Failing(Replayed):
    def capture(self, step):
        raise RuntimeError("operation not permitted\nwhen stream is capturing")


class Stale(Replayed):
    """What it records does nothing: what it was to write went elsewhere."""

    def capture(self, step):
        return lambda: None


def dense():
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, activation="relu", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.GaussianNoise(0.1),
            layers.Dense(CLASSES),
        ]
    )


def convolutional():
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.SpatialDropout2D(0.2)(layers.Add()([x, layers.Conv2D(4, 1)(x)]))
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(x)))


def recurrent():
    inputs = keras.Input((5, 3))
    x = layers.LSTM(4, return_sequences=True, dropout=0.2)(inputs)
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.LSTM(3)(x)))


def masked():
    inputs = keras.Input((5, 3))
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.LSTM(3)(layers.Masking()(inputs))))


def attention():
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(9, 8)(inputs)
    y = layers.Dropout(0.1)(layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x))
    x = layers.LayerNormalization()(layers.Add()([x, y]))
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalAveragePooling1D()(x)))


def noted_clipping():
    optimizer = optimizers.SGD(0.1, global_clipnorm=1.0)
    ClipWatch(optimizer, parts.Clipping(global_norm=1.0))
    return optimizer


NETS = {"dense": dense, "conv": convolutional, "lstm": recurrent, "attention": attention}
RECORDED = tuple(NETS)
NETS["masked"] = masked
OPTIMIZERS = {
    "sgd": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True, global_clipnorm=1.0),
    "adam": lambda: optimizers.Adam(global_clipnorm=1.0, amsgrad=True),
    "adamw": lambda: optimizers.AdamW(weight_decay=0.1, global_clipnorm=1.0),
    "rmsprop": lambda: optimizers.RMSprop(momentum=0.5, centered=True, global_clipnorm=1.0),
    "lion": lambda: optimizers.Lion(global_clipnorm=1.0, weight_decay=0.1),
    "average": lambda: optimizers.Adagrad(0.1, use_ema=True, ema_momentum=0.7, clipnorm=1.0),
    "noted clipping": noted_clipping,
}


def compiled(net, optimizer):
    set_random_seed(3)
    model = NETS[net]()
    model.compile(
        OPTIMIZERS[optimizer]() if isinstance(optimizer, str) else optimizer,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model._symbolic_build(data_batch=(*(a[:2] for a in examples(model)), None))
    return model


def examples(model):
    rng = np.random.default_rng(0)
    shape = (EXAMPLES, *model.input_shape[1:])
    if model.inputs[0].dtype == "int32":
        x = rng.integers(0, 9, shape).astype("int32")
    else:
        x = rng.normal(size=shape).astype("float32")
    return x, rng.integers(0, CLASSES, EXAMPLES).astype("int32")


def opened(model, recorder=None, *, on_device=True, note=None):
    step = lower_step(model, on_device=on_device)
    assert step.fallbacks == step.notes == ()
    return open_program(
        model, "torch", jit=False, parts=step.parts, recorder=recorder, note=note or pytest.fail
    )


def positions(seed=1, updates=UPDATES):
    chosen = np.random.default_rng(seed).integers(0, EXAMPLES, (updates, 1, BATCH))
    return chosen.astype("int32")


def assert_same(one, other, **tolerance):
    mine, theirs = state_of(one).to_arrays(), state_of(other).to_arrays()
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        np.testing.assert_allclose(value, theirs[name], **tolerance, err_msg=name)


class HostIsAskedError(Exception):
    pass


class Watched(Replayed):
    """Runs steps where no question is answered, once everything has been made."""

    def __init__(self, monkeypatch):
        super().__init__()
        self._patch = monkeypatch

    def capture(self, step):
        replay = super().capture(step)

        def watched():
            with self._patch.context() as patch:
                for name in ("item", "tolist", "cpu", "__bool__", "__float__", "__int__"):
                    patch.setattr(torch.Tensor, name, refuse)
                replay()

        return watched


def refuse(tensor, *args):
    raise HostIsAskedError


@pytest.mark.parametrize(
    ("net", "optimizer"),
    [
        *((net, "adamw") for net in RECORDED),
        *(("dense", name) for name in OPTIMIZERS if name != "adamw"),
    ],
)
def test_a_step_asks_the_host_for_nothing_and_is_the_step_of_the_processor(
    net, optimizer, monkeypatch
):
    watched, plain = compiled(net, optimizer), compiled(net, optimizer)
    recorder = Watched(monkeypatch)
    programs = opened(watched, recorder), opened(plain, on_device=False)
    for program, model in zip(programs, (watched, plain), strict=True):
        program.place(Split(*examples(model)))
        program.train(positions(), RATES, UPDATES)
    assert recorder.replays == UPDATES - WARM_UP
    # Signs turn on the last bit.
    atol = 1e-2 if optimizer == "lion" else 2e-5
    assert_same(watched, plain, rtol=2e-4, atol=atol)


class Crossing(Replayed):
    """Lets no step pass that has to do with a second device."""

    def warm_up(self, step):
        with _Questions() as questions:
            super().warm_up(step)
        assert questions.first == ""


@pytest.mark.parametrize("net", RECORDED)
def test_a_step_stays_on_one_device(net):
    """On a device that has shapes and no numbers: what is made elsewhere does not go with it."""
    model = compiled(net, "adamw")
    variables = (*model.variables, *model.optimizer.variables, *model.metrics_variables)
    for variable in variables:
        value = variable._value
        far = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
        variable._value = torch.nn.Parameter(far, requires_grad=value.requires_grad)
    recorder = Crossing()
    with keras.device("meta"):
        step = lower_step(model, on_device=True)
        program = open_program(model, "torch", jit=False, parts=step.parts, recorder=recorder)
        # It cannot be read there.
        step.parts.host._update.iterations.follow(0)
        program.place(Split(*examples(model)))
        program.train(positions(), RATES, WARM_UP)
    assert recorder.warm_ups == WARM_UP


@pytest.mark.parametrize(
    ("question", "name"),
    [
        (lambda x: x.sum().item(), "aten::_local_scalar_dense"),
        (lambda x: torch.tensor([1.0, 2.0]), "aten::lift_fresh"),
        (lambda x: x[x > 0], "aten::index"),
        (lambda x: x * 2.0, ""),
    ],
)
def test_questions_to_the_host_are_seen(question, name):
    with _Questions() as seen:
        question(torch.ones(3))
    assert seen.first == name


def test_a_step_that_asks_is_not_recorded():
    """Keras hands the value that masks out from Python to the device in each step."""
    models = compiled("masked", "adamw"), compiled("masked", "adamw")
    notes = []
    programs = opened(models[0], Replayed(), note=notes.append), opened(models[1])
    for program, model in zip(programs, models, strict=True):
        program.place(Split(*examples(model)))
        program.train(positions(), RATES, UPDATES)
    (note,) = notes
    assert "aten::lift_fresh goes between host and device in each step" in note
    assert_same(*models, rtol=0, atol=0)


@pytest.mark.parametrize("placed", [True, False])
def test_replays_are_the_very_steps(placed):
    """Blocks of several shapes, full or not, with and without rates, and ragged updates between."""
    models = compiled("dense", "adamw"), compiled("dense", "adamw")
    recorder = Replayed()
    programs = opened(models[0], recorder), opened(models[1])
    x, y = examples(models[0])
    for program, model in zip(programs, models, strict=True):

        def block(chosen, x=x, y=y):
            return chosen if placed else (x[chosen], y[chosen], None)

        if placed:
            program.place(Split(x, y))
        program.train(block(positions()), RATES, UPDATES)
        program.train(block(positions(2)), RATES[::-1], 5)
        program.train_ragged([(x[:3], y[:3], None)], 0.03)
        assert float(model.optimizer.learning_rate) == pytest.approx(0.03)
        program.train(block(positions(3, 4).reshape(2, 2, BATCH)), None, 2)
        program.train(block(positions(4)), RATES, UPDATES)
        assert int(model.optimizer.iterations) == 2 * UPDATES + 8
        assert float(model.optimizer.learning_rate) == pytest.approx(RATES[-1])
    # The first shape was recorded, the one of two updates was not seen often enough.
    assert recorder.captures == 1
    assert recorder.replays == 2 * UPDATES + 5 - WARM_UP
    assert_same(*models, rtol=0, atol=0)
    assert programs[0].read_metrics() == programs[1].read_metrics()


@pytest.mark.parametrize(
    "schedule",
    [
        optimizers.schedules.CosineDecay(0.0, 8, warmup_target=0.02, warmup_steps=3),
        optimizers.schedules.PiecewiseConstantDecay([2, 5], [0.02, 0.01, 0.001]),
    ],
)
def test_schedules_go_on_from_update_to_update(schedule):
    models = [compiled("dense", optimizers.SGD(schedule)) for _ in range(2)]
    for model, on_device in zip(models, (True, False), strict=True):
        program = opened(model, Replayed() if on_device else None, on_device=on_device)
        program.place(Split(*examples(model)))
        program.train(positions(), None, UPDATES)
        program.train(positions(2), None, 2)
    assert_same(*models, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("recorder", "says"),
    [
        (Failing(), "RuntimeError: operation not permitted"),
        (Stale(), "a replay did something else than the step"),
    ],
)
def test_what_cannot_be_recorded_goes_on_step_by_step(recorder, says):
    models = compiled("dense", "adamw"), compiled("dense", "adamw")
    notes = []
    programs = opened(models[0], recorder, note=notes.append), opened(models[1])
    for program, model in zip(programs, models, strict=True):
        program.place(Split(*examples(model)))
        for _ in range(2):
            program.train(positions(), RATES, UPDATES)
    assert notes == [f"not captured in a CUDA graph: {says}"]
    assert_same(*models, rtol=0, atol=0)


def test_what_a_recording_depends_on():
    model = compiled("dense", "adam")
    recorder = Replayed()
    program = opened(model, recorder)
    split = Split(*examples(model))

    def captures_after(change):
        change()
        before = recorder.captures
        for _ in range(2):
            program.train(positions(), RATES, UPDATES)
        return recorder.captures - before

    def freeze():
        model.layers[1].trainable = False

    def replace():
        bias = model.layers[0].bias
        bias._value.data = bias._value.data.clone()

    def set_rate():
        model.optimizer.learning_rate = 0.5

    assert captures_after(lambda: program.place(split)) == 1
    assert captures_after(lambda: None) == 0
    # Numbers that a step reads anew are no reason, nor are values of variables.
    assert captures_after(set_rate) == 0
    assert captures_after(lambda: model.set_weights(model.get_weights())) == 0
    assert captures_after(model.reset_metrics) == 0
    assert captures_after(lambda: program.place(split)) == 1
    assert captures_after(freeze) == 1
    assert captures_after(replace) == 1
    assert captures_after(lambda: setattr(model.optimizer, "global_clipnorm", 0.1)) == 1
    assert captures_after(lambda: setattr(model.layers[0].kernel.regularizer, "l2", 0.5)) == 1


def test_each_replay_draws_anew():
    model = compiled("dense", optimizers.SGD(0.0))
    recorder = Replayed()
    program = opened(model, recorder)
    program.place(Split(*examples(model)))
    losses = []
    same = np.repeat(positions(updates=1), UPDATES, axis=0)
    for _ in range(WARM_UP + PROOFS + 4):
        program.train(same, None, 1)
        losses.append(program.read_metrics()["loss"])
    assert len(set(losses)) == len(losses)


def one_layer(**settings):
    return lambda: keras.Sequential([keras.Input((6,)), layers.Dense(CLASSES, **settings)])


@pytest.mark.parametrize(
    ("net", "optimizer", "says"),
    [
        (dense, lambda: optimizers.LossScaleOptimizer(optimizers.SGD(0.1)), "loss scale"),
        (dense, lambda: optimizers.SGD(lambda: 0.1), "learning rate is a function"),
        (
            dense,
            lambda: optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=2),
            "averages overwrite",
        ),
        (dense, lambda: optimizers.Nadam(0.1), "Nadam"),
        (one_layer(bias_constraint="max_norm"), lambda: optimizers.SGD(0.1), "MaxNorm"),
        (
            one_layer(kernel_regularizer=keras.regularizers.OrthogonalRegularizer()),
            lambda: optimizers.SGD(0.1),
            "OrthogonalRegularizer",
        ),
        (one_layer(activation=keras.ops.sin), lambda: optimizers.SGD(0.1), "left to Keras: "),
    ],
)
def test_what_is_not_recorded_at_all(net, optimizer, says):
    model = net()
    model.compile(optimizer(), "mse")
    x = np.ones((2, 6), "float32")
    model._symbolic_build(data_batch=(x, np.ones((2, CLASSES), "float32"), None))
    step = lower_step(model, on_device=True)
    assert step.parts.host is None
    (note,) = step.notes
    assert note.startswith("not captured in a CUDA graph: ")
    assert says in note


PLAN = Plan().edit({"runtime.backend": "torch", "duration.epochs": 1})


def task_of(model):
    x, y = examples(model)
    return Task(
        model=dense,
        data=lambda: Data(Split(x, y), Split(x[:5], y[:5])),
        loss={"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}},
        monitor="val_loss",
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"optimizer.sam": 0.05}, "each update differentiates twice"),
        ({"clipping.quantile": 0.5}, "a bound on the gradient is left to Keras' operations"),
        ({"clipping.global_norm": 0.5}, ""),
    ],
)
def test_what_plans_ask_for_is_recorded_or_said_not_to_be(changes, says, monkeypatch):
    monkeypatch.setattr(lowering, "lower_step", partial(lower_step, on_device=True))
    record = train(task_of(compiled("dense", "adamw")), PLAN.edit(changes))
    found = [note for note in record.notes if note.startswith("not captured")]
    assert found == ([f"not captured in a CUDA graph: {says}"] if says else [])


def test_records_and_reports_say_what_was_not_recorded(monkeypatch):
    monkeypatch.setattr(lowering, "lower_step", partial(lower_step, on_device=True))
    model = compiled("dense", "adamw")
    task, plan = task_of(model), PLAN.edit({"precision.policy": "mixed_float16"})
    note = "not captured in a CUDA graph: the loss scale is looked at in each update"
    assert note in train(task, plan).notes
    assert note not in train(task, plan.edit({"runtime.jit": "off"})).notes
    keras.config.set_dtype_policy("float32")
    model.optimizer.learning_rate = lambda: 0.1
    history = fit(model, *examples(model), verbose=0)
    assert history.slipstream.loop == "slipstream"
    assert any("learning rate is a function" in line for line in history.slipstream.fallbacks)


@pytest.mark.parametrize("shape", [None, (8, 1)])
def test_dropout_by_a_device_drops_at_its_rate_and_passes_the_same_gradients(shape):
    seeds = keras.random.SeedGenerator(7)
    dropout = _draw.Dropout(0.25, seeds)
    x = torch.ones(8, 4000, requires_grad=True)
    out = dropout(x, shape)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert torch.equal(gradient, out.detach())
    assert out.detach().unique().tolist() == pytest.approx([0, 4 / 3])
    assert np.array(seeds.state).tolist() == [7, 1]
    if shape is None:
        # Six standard deviations.
        assert float((out == 0).float().mean()) == pytest.approx(0.25, abs=0.015)
