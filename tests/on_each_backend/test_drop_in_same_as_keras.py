"""The drop-in fit against Keras' own: the same losses, metrics, weights and optimizer state."""

import keras
import numpy as np
import pytest
from drop_in_help import BACKEND, NUM_FEATURES, Twice, net, numbers, problem, same

import slipstream

layers, optimizers = keras.layers, keras.optimizers
schedules = keras.optimizers.schedules


def arrays(num=44, **others):
    """Return arguments of a fit on arrays that do not come out even."""

    def fit():
        x, y = problem(num)
        return {"x": x, "y": y, "batch_size": 8, "epochs": 3, **others}

    return fit


def everything(dropout):
    """A net with all that changes losses, gradients and weights."""
    x = keras.Input((NUM_FEATURES,))
    frozen = layers.Dense(NUM_FEATURES, name="frozen", trainable=False)
    hidden = layers.Dense(
        8,
        activation="tanh",
        kernel_regularizer=keras.regularizers.L2(0.01),
        kernel_constraint=keras.constraints.MaxNorm(0.9),
        bias_regularizer=keras.regularizers.L1(0.01),
    )(frozen(x))
    hidden = layers.BatchNormalization(momentum=0.8)(hidden)
    hidden = layers.ActivityRegularization(l2=0.02)(hidden)
    if dropout:
        hidden = layers.Dropout(dropout)(hidden)
    model = keras.Model(
        x,
        {
            "kind": layers.Dense(3, name="kind")(hidden),
            "size": layers.Dense(1, name="size")(hidden),
        },
    )
    model.compile(
        optimizers.Adam(
            0.02, global_clipnorm=0.5, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=4
        ),
        {"kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "size": "huber"},
        loss_weights={"kind": 1.0, "size": 0.3},
        metrics={"kind": ["accuracy"], "size": ["mae"]},
        weighted_metrics={"kind": ["accuracy"]},
    )
    return model


@pytest.mark.parametrize("dropout", [0.0, 0.3] if BACKEND == "torch" else [0.3])
def test_penalties_constraints_frozen_layers_outputs_weights_and_averages(dropout):
    def data(num, seed):
        x, y = problem(num, seed)
        weights = np.random.default_rng(seed).uniform(0.2, 2.0, num).astype("float32")
        targets = {"kind": y, "size": x.sum(1, keepdims=True)}
        return x, targets, {"kind": weights, "size": weights[::-1].copy()}

    def fit():
        x, y, weights = data(40, 1)
        return {
            "x": x,
            "y": y,
            "sample_weight": weights,
            "batch_size": 8,
            "epochs": 3,
            "validation_data": data(16, 2),
        }

    both = same(lambda: everything(dropout), fit)
    assert both.report.fallbacks == () or BACKEND == "torch"
    assert both.report.updates_per_call == 5
    assert len(both.our_history.history) == 12
    frozen = both.ours.get_layer("frozen").kernel
    np.testing.assert_array_equal(frozen, both.theirs.get_layer("frozen").kernel)


def test_masks_class_weights_and_metrics_with_state():
    def make():
        words = keras.Input((6,), dtype="int32")
        hidden = layers.Embedding(11, 4, mask_zero=True)(words)
        hidden = layers.GlobalAveragePooling1D()(hidden)
        model = keras.Model(words, layers.Dense(1, activation="sigmoid")(hidden))
        model.compile(
            optimizers.RMSprop(0.02, clipvalue=0.05),
            "binary_crossentropy",
            metrics=[
                "accuracy",
                keras.metrics.AUC(num_thresholds=20, name="auc"),
                keras.metrics.Recall(name="recall"),
            ],
        )
        return model

    def fit():
        words = np.random.default_rng(0).integers(0, 11, (44, 6))
        y = (words.sum(1, keepdims=True) % 3 > 0).astype("int64")
        return {
            "x": words,
            "y": y,
            "batch_size": 8,
            "epochs": 2,
            "class_weight": {0: 3.0, 1: 0.5},
            "validation_split": 0.25,
        }

    same(make, fit)


def test_masked_outputs_depend_on_the_batch_as_in_keras():
    def make():
        words = keras.Input((5,), dtype="int32")
        hidden = layers.Embedding(7, 3, mask_zero=True)(words)
        model = keras.Model(words, layers.Dense(4)(hidden))
        model.compile(
            "adam",
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        return model

    words = np.random.default_rng(0).integers(0, 7, (21, 5))
    given = {"x": words, "y": words % 4, "batch_size": 8, "validation_data": (words, words % 4)}
    same(make, lambda: given)


LOSSES = {
    "real": ["mse", "mae", "mape", "msle", "huber", "log_cosh", "poisson", "cosine_similarity"],
    "two classes": ["binary_crossentropy", "hinge", "squared_hinge", "binary_focal_crossentropy"],
    "classes": [
        "categorical_crossentropy",
        "categorical_focal_crossentropy",
        "kl_divergence",
        "categorical_hinge",
        "dice",
        "tversky",
    ],
    "numbers": ["sparse_categorical_crossentropy"],
}


def test_all_losses_of_keras():
    """One net with an output for each loss: one compilation instead of twenty.

    Outputs of a form share their weights, whose updates would else be most of what is compiled.
    """
    named = [
        (f"{name}_of_{i}", name, form) for form in LOSSES for i, name in enumerate(LOSSES[form])
    ]
    made = []

    def make():
        x = keras.Input((NUM_FEATURES,))
        hidden = layers.Dense(6, activation="tanh")(x)
        heads = {
            form: layers.Dense(1 if form in ("real", "two classes") else 3)(hidden)
            for form in LOSSES
        }
        shape = {"real": "softplus", "two classes": "sigmoid"}
        outputs = {
            output: layers.Activation(shape.get(form, "softmax"), name=output)(heads[form])
            for output, _, form in named
        }
        model = keras.Model(x, outputs)
        model.compile(
            optimizers.SGD(0.01, momentum=0.9, nesterov=True, clipnorm=0.3),
            {output: name for output, name, _ in named},
            # Keras' own three steps take less time on TensorFlow than tracing them does.
            run_eagerly=BACKEND == "tensorflow" and not made,
        )
        made.append(model)
        return model

    def fit():
        x, y = problem(24)
        size = np.abs(x[:, :1]) + 0.1
        targets = {
            "real": size,
            "two classes": (size > 0.5).astype("float32"),
            "classes": np.eye(3, dtype="float32")[y],
            "numbers": y,
        }
        return {"x": x, "y": {output: targets[form] for output, _, form in named}, "batch_size": 8}

    same(make, fit)


def test_accumulation_over_a_schedule():
    """Keras counts batches in both, and a remainder waits for the next epoch."""
    schedule = schedules.CosineDecay(0.2, 12, warmup_steps=3, warmup_target=0.4)
    same(
        lambda: net(
            optimizer=lambda: optimizers.SGD(schedule, gradient_accumulation_steps=4), dropout=0.3
        ),
        arrays(),
    )


class Scales(keras.callbacks.Callback):
    """Notes the loss scale, and the updates that were made, after each batch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        optimizer = self.model.optimizer
        counts = optimizer.step_counter, optimizer.inner_optimizer.iterations
        self.seen.append((float(optimizer.dynamic_scale), *(int(count) for count in counts)))


@pytest.mark.parametrize("by_batch", [False, True], ids=["blocks", "batches"])
def test_mixed_float16_with_a_loss_scale_that_moves(by_batch):
    noted = []

    def make():
        keras.config.set_dtype_policy("mixed_float16")
        model = net()
        # So large that the first gradients overflow, and raised again after three steps.
        scaled = optimizers.LossScaleOptimizer(
            optimizers.Adam(0.01), initial_scale=2.0**26, dynamic_growth_steps=3
        )
        model.compile(scaled, model.loss, metrics=["accuracy"])
        return model

    def fit():
        noted.append(Scales())
        return arrays(epochs=4, callbacks=noted[-1:] if by_batch else [])()

    both = Twice(make, fit)
    both.assert_same(rel=2e-2, atol=2e-3)
    assert (both.report.updates_per_call > 1) is not by_batch
    scales = [float(model.optimizer.dynamic_scale) for model in (both.ours, both.theirs)]
    assert scales[0] == scales[1] < 2.0**26
    if by_batch:
        theirs, ours = noted[0].seen, noted[1].seen
        assert ours == theirs
        moves = np.sign(np.diff([scale for scale, *_ in theirs]))
        assert {-1, 0, 1} == set(moves)
        assert theirs[-1][2] < len(theirs)


def test_an_order_of_its_own_each_epoch_that_the_seed_repeats():
    """With weights that stand still the loss of an epoch is that of its own order's batches."""

    class Rows(layers.Layer):
        """Adds the first feature of each example, times its place in the batch, to the loss."""

        def call(self, x):
            places = keras.ops.arange(x.shape[0] or keras.ops.shape(x)[0], dtype="float32")
            self.add_loss(keras.ops.sum(places * x[:, 0]))
            return x

    def make():
        inputs = keras.Input((1,))
        model = keras.Model(inputs, layers.Dense(1)(Rows()(inputs)))
        model.compile(optimizers.SGD(1e-9), "mse")
        return model

    def losses(shuffle, epochs=3):
        keras.utils.set_random_seed(3)
        x = numbers(24, 1)
        history = slipstream.fit(
            make(), x, x, batch_size=8, epochs=epochs, shuffle=shuffle, verbose=0
        )
        assert history.slipstream.loop == "slipstream"
        return history.history["loss"]

    plain = losses(False)
    assert len({round(loss, 3) for loss in plain}) == 1
    shuffled = losses(True)
    assert len({round(loss, 3) for loss in [*shuffled, plain[0]]}) == 4
    assert losses(True) == shuffled
    within = losses("batch")
    assert len({round(loss, 3) for loss in [*within, plain[0]]}) == 4


def test_a_second_fit_on_other_data_compiles_nothing_and_goes_on():
    given = {"shuffle": False, "verbose": 0, "batch_size": 8}
    weights, programs = [], []
    for function in (slipstream.fit, lambda model, *data, **others: model.fit(*data, **others)):
        keras.utils.set_random_seed(1)
        model = net(optimizer="adam")
        function(model, *problem(44), epochs=2, **given)
        programs.append(vars(model).get("_slipstream_program"))
        again = function(model, *problem(44, seed=9), epochs=4, initial_epoch=2, **given)
        assert again.epoch == [2, 3]
        assert vars(model).get("_slipstream_program") is programs[-1]
        weights.append(model.get_weights())
    assert programs[0] is not None
    for one, two in zip(*weights, strict=True):
        np.testing.assert_allclose(one, two, 1e-4, 2e-5)


def test_a_model_that_is_compiled_anew_gets_a_new_program():
    x, y = problem(24)
    model = net()
    slipstream.fit(model, x, y, verbose=0)
    first = vars(model)["_slipstream_program"]
    model.compile("sgd", model.loss)
    slipstream.fit(model, x, y, verbose=0)
    assert vars(model)["_slipstream_program"] is not first
