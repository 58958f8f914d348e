"""Models, how they are compiled and what they are trained on: the cases of whole steps."""

import keras
import numpy as np

from slipstream.data.splits import map_arrays

NUM_FEATURES, CLASSES, BATCH, EPOCHS = 5, 3, 8, 2
# Three whole batches and a smaller one.
NUM_EXAMPLES = 28
layers, losses, optimizers = keras.layers, keras.losses, keras.optimizers


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def examples():
    x = numbers(NUM_EXAMPLES, NUM_FEATURES)
    return x, x[:, :CLASSES].argmax(1)


def weights():
    return np.random.default_rng(2).uniform(0.1, 2, NUM_EXAMPLES).astype("float32")


def mlp(**last):
    inputs = keras.Input((NUM_FEATURES,))
    hidden = layers.BatchNormalization()(layers.Dense(8, activation="relu")(inputs))
    return keras.Model(inputs, layers.Dense(CLASSES, **last)(hidden))


def logits():
    return losses.SparseCategoricalCrossentropy(from_logits=True)


class Entropy(layers.Layer):
    """A layer that no rule knows and that adds to the loss."""

    def call(self, x):
        self.add_loss(0.1 * keras.ops.mean(keras.ops.square(x)))
        return x


def penalised():
    inputs = keras.Input((NUM_FEATURES,))
    hidden = layers.Dense(
        8, "tanh", kernel_regularizer=keras.regularizers.L2(0.1), bias_regularizer="l1"
    )(inputs)
    hidden = Entropy()(hidden)
    hidden = layers.Dense(4, activity_regularizer=keras.regularizers.L1(0.05))(hidden)
    return keras.Model(inputs, layers.Dense(CLASSES)(hidden))


def frozen():
    model = mlp()
    model.layers[1].trainable = False
    return model


def two_outputs():
    inputs = keras.Input((NUM_FEATURES,))
    hidden = layers.Dense(8, activation="tanh")(inputs)
    kind = layers.Dense(CLASSES, name="kind")(hidden)
    size = layers.Dense(1, name="size")(hidden)
    return keras.Model(inputs, {"kind": kind, "size": size})


def listed_outputs():
    named = two_outputs()
    size = layers.Activation("softplus", name="positive")(named.outputs[1])
    return keras.Model(named.inputs, [named.outputs[0], size])


def listed_examples():
    x, y = examples()
    return x, [y, np.abs(x).sum(1, keepdims=True)]


def words():
    inputs = keras.Input((6,), dtype="int32")
    table = layers.Embedding(9, 4, mask_zero=True)(inputs)
    hidden = layers.LSTM(5, return_sequences=True)(table)
    return keras.Model(inputs, layers.Dense(CLASSES)(hidden))


def sentences():
    rng = np.random.default_rng(1)
    x = rng.integers(1, 9, (NUM_EXAMPLES, 6))
    x[np.arange(6)[None] >= rng.integers(2, 7, NUM_EXAMPLES)[:, None]] = 0
    return x, x % CLASSES


class Case:
    """A model, how it is compiled, and what it is trained on."""

    def __init__(self, net, data, optimizer, leaves=(), metrics=None, **compiled):
        self.net, self.data, self.optimizer, self.compiled = net, data, optimizer, compiled
        self.metrics = metrics
        # Words that must stand in what is left to Keras, one for each.
        self.leaves = leaves

    def model(self, data):
        keras.utils.set_random_seed(3)
        model = self.net()
        # No two models may share a metric.
        metrics = self.metrics() if callable(self.metrics) else self.metrics
        model.compile(self.optimizer(), metrics=metrics, **self.compiled)
        model._symbolic_build(data_batch=map_arrays(lambda a: a[:2], data))
        return model


def weighted():
    return (*examples(), weights())


def sizes():
    x, _ = examples()
    return x, x.sum(1), weights()


def kinds_and_sizes():
    x, y = examples()
    return x, {"kind": y, "size": x.sum(1, keepdims=True)}, {"kind": weights(), "size": weights()}


CASES = {
    "classes": Case(
        mlp,
        examples,
        lambda: optimizers.AdamW(0.01, weight_decay=0.1, global_clipnorm=1.0),
        loss=logits(),
        metrics=["accuracy"],
    ),
    "probabilities": Case(
        lambda: mlp(activation="softmax"),
        weighted,
        lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipvalue=0.1),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy", "sparse_categorical_crossentropy"],
        weighted_metrics=["accuracy"],
    ),
    "numbers": Case(
        lambda: keras.Sequential(
            [keras.Input((NUM_FEATURES,)), layers.Dense(4, "relu"), layers.Dense(1)]
        ),
        sizes,
        lambda: optimizers.RMSprop(
            optimizers.schedules.CosineDecay(0.0, 6, warmup_target=0.02, warmup_steps=3)
        ),
        loss=losses.Huber(delta=0.5),
        metrics=lambda: ["mae", keras.metrics.RootMeanSquaredError(), keras.metrics.R2Score()],
        weighted_metrics=["mse"],
        loss_weights=2.0,
        leaves=("r2_score",),
    ),
    "penalties": Case(
        penalised,
        weighted,
        lambda: optimizers.Adam(0.02, clipnorm=0.3),
        loss=logits(),
        metrics=["accuracy"],
        leaves=("Entropy", "activity regularizer"),
    ),
    "frozen": Case(frozen, examples, lambda: optimizers.Adam(0.02), loss=logits()),
    "average": Case(
        mlp,
        examples,
        lambda: optimizers.Lion(0.01, use_ema=True, ema_momentum=0.7, ema_overwrite_frequency=3),
        loss=logits(),
    ),
    "two outputs": Case(
        two_outputs,
        kinds_and_sizes,
        lambda: optimizers.Adagrad(0.1),
        loss={"kind": logits(), "size": "mse"},
        loss_weights={"kind": 1.0, "size": 0.3},
        metrics={"kind": ["accuracy"], "size": ["mae", "mse"]},
        weighted_metrics={"size": ["mae"]},
    ),
    "a list of outputs": Case(
        listed_outputs,
        lambda: (*listed_examples(), [weights(), weights()]),
        lambda: optimizers.Adam(0.02),
        loss=[logits(), losses.Poisson()],
        loss_weights=[1.0, 0.3],
        metrics=[["accuracy"], ["mae"]],
        leaves=("poisson",),
    ),
    "weights of all outputs": Case(
        listed_outputs,
        lambda: (*listed_examples(), weights()),
        lambda: optimizers.Adam(0.02),
        loss=[logits(), "mse"],
    ),
    "masks": Case(
        words, sentences, lambda: optimizers.Adam(0.02), loss=logits(), metrics=["accuracy"]
    ),
    "accumulation": Case(
        mlp,
        examples,
        lambda: optimizers.SGD(0.1, gradient_accumulation_steps=2),
        loss=logits(),
        leaves=("accumulates",),
    ),
    "no kernel": Case(
        mlp, examples, lambda: optimizers.Nadam(0.01), loss="sparse_categorical_crossentropy",
        leaves=("Nadam",),
    ),
}  # fmt: skip
