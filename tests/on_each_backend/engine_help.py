"""Small tasks and shortcuts that the engine's tests share."""

import keras
import numpy as np

from slipstream.data.order import epoch_order
from slipstream.data.splits import Data, Split
from slipstream.engine.build import build
from slipstream.engine.feed import Feed
from slipstream.engine.limits import Limits
from slipstream.engine.open_program import open_for
from slipstream.engine.own_loop import OwnLoop
from slipstream.engine.rates import cycle_momentum, rates_of
from slipstream.engine.recorder import Recorder
from slipstream.plan import Plan
from slipstream.task import Task

NUM_FEATURES = 5
NUM_CLASSES = 3
# XLA compiles small nets for seconds: TensorFlow runs without it where it is not the question.
JIT = "off" if keras.backend.backend() == "tensorflow" else "auto"


def numbers(*shape, seed=0):
    """Return normally distributed float32 numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def split(num, seed=0, weights=False):
    """Return a split of a problem that a small net can learn."""
    x = numbers(num, NUM_FEATURES, seed=seed)
    y = np.argmax(x[:, :NUM_CLASSES] + 0.3 * numbers(num, NUM_CLASSES, seed=seed + 1), axis=1)
    sample_weight = None
    if weights:
        sample_weight = np.random.default_rng(seed).uniform(0.2, 3, num).astype("float32")
    return Split(x, y.astype("int64"), sample_weight)


def data(num_train=40, num_validation=23, weights=False):
    """Return a data set; the sizes are such that batches do not come out even."""
    return Data(
        split(num_train, 1, weights), split(num_validation, 2, weights), split(17, 3, weights)
    )


def dense_net():
    """Return a net with a hidden layer and logits."""
    return keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.Dense(8, activation="tanh", name="hidden"),
            keras.layers.Dense(NUM_CLASSES, name="logits"),
        ]
    )


def sparse_loss():
    """Return the cross-entropy of logits, as a task holds it: serialised."""
    return keras.losses.serialize(keras.losses.SparseCategoricalCrossentropy(from_logits=True))


def task(model=dense_net, **settings):
    """Return a classification task."""
    settings = {"loss": sparse_loss(), "metrics": ["accuracy"], "monitor": "val_loss", **settings}
    return Task(model=model, data=data, **settings)


def plan(changes=None):
    """Return a short plan of SGD on this process's backend."""
    return Plan().edit(
        {
            "runtime.backend": keras.backend.backend(),
            "optimizer.name": "sgd",
            "schedule.peak": 0.1,
            "batch.size": 8,
            "duration.epochs": 3,
            "duration.restore_best": False,
            "runtime.jit": JIT,
            **(changes or {}),
        }
    )


class Run:
    """A run of the engine's own loop of which every part can be seen."""

    def __init__(self, task, plan, data, observers=()):
        self.feed = Feed(data.train, plan)
        self.rates = rates_of(plan, self.feed)
        self.built = build(task, plan, data, float(self.rates[0]))
        self.model = self.built.model
        cycle_momentum(plan, self.feed, self.model.optimizer)
        self.initial = self.model.get_weights()
        self.program = open_for(self.built, plan, self.feed)
        self.recorder = Recorder(task, plan, None, observers)
        self.loop = OwnLoop(
            self.built, self.program, self.feed, self.rates, data, plan, self.recorder
        )

    def go(self, limits=None):
        """Run the loop from where it stands to its end, and hand the state to Keras."""
        self.outcome = self.loop.run(limits or Limits())
        self.program.synchronize()
        return self

    @property
    def values(self):
        """The values of all evaluations."""
        return [point.values for point in self.recorder.points]


def run(task_, plan_, data_, **settings):
    """Train with the engine's own loop."""
    return Run(task_, plan_, data_, **settings).go()


def in_order(split_, seed, epoch, keep=None):
    """Return the split as the engine sees it in an epoch."""
    order = epoch_order(split_.num_examples, seed, epoch)
    return split_.take(order[:keep])


def assert_same_weights(ours, theirs, rtol=2e-5, atol=2e-6):
    """Compare lists of arrays, one by one."""
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=rtol, atol=atol)


def moved(before, after):
    """The largest change between two lists of weights."""
    return max(np.abs(a - b).max() for a, b in zip(before, after, strict=True))
