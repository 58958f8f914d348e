"""What is wrong and how to mend it, for errors of Keras scripts whose own message does not say.

A row is tried when one of its kinds is among the error's classes; the first that fits speaks.
"""

from __future__ import annotations

import linecache
import re
import traceback
from dataclasses import dataclass

from slipstream.script.tracebacks import family


@dataclass(frozen=True)
class Row:
    """One known error.

    Args:
        kinds: Names of its classes or of their parents, with "|" between them.
        pattern: What its message holds, as a regular expression.
        advice: One line: what is wrong, and what to write instead.
        line: What a source line on the way to it holds, as a regular expression.
        code: The identifier of the advice.
    """

    kinds: str
    pattern: str
    advice: str
    line: str = ""
    code: str = ""

    def fits(self, kinds: set[str], text: str, lines: str) -> bool:
        """Return whether an error of these classes, message and source lines is this one."""
        known = bool(kinds & set(self.kinds.split("|")))
        return known and bool(re.search(self.pattern, text) and re.search(self.line, lines))


ROWS: tuple[Row, ...] = (
    Row(
        "TypeError",
        r"object is not callable",
        "optimizer.learning_rate is the present rate itself, not a function of the step: write"
        " optimizer.learning_rate, or keep the schedule in a variable and call that.",
        line=r"\.(learning_rate|lr)\(",
        code="SLP-851",
    ),
    Row(
        "TypeError|TracerBoolConversionError|RuntimeError|NotImplementedError",
        r"as a Python `bool`|boolean conversion of traced|cannot be used as a boolean"
        r"|called on meta tensors|Boolean value of Tensor with more|data-dependent",
        "A Python `if`, `while` or `and` on a tensor cannot be compiled: write"
        " keras.ops.where(condition, a, b) or keras.ops.cond(condition, f, g), or compile the"
        " model with run_eagerly=True.",
        code="SLP-852",
    ),
    Row(
        "TracerArrayConversionError|NotImplementedError|RuntimeError|AttributeError",
        r"__array__\(\) was called on traced|symbolic tf\.Tensor .*numpy"
        r"|Can't call numpy\(\) on Tensor that requires grad|has no attribute 'numpy'",
        "NumPy cannot read a tensor that is being compiled or differentiated: use keras.ops inside"
        " the model, and keras.ops.convert_to_numpy(tensor) outside.",
        code="SLP-853",
    ),
    Row(
        "TypeError|ValueError",
        r"train_step\(\) (takes|missing|got)|(need|values) .*to unpack",
        "This train_step is written for another backend: JAX hands it (state, data), TensorFlow"
        " and PyTorch hand it data. Run the script with --backend set to the one it is for.",
        line=r"train_step",
        code="SLP-854",
    ),
    Row(
        "AttributeError",
        r"no attribute '(compiled_loss|_compiled_metrics_update_state)'",
        "Keras 3 has no compiled_loss: write self.compute_loss(x=x, y=y, y_pred=y_pred).",
        code="SLP-855",
    ),
    Row(
        "AttributeError",
        r"no attribute 'compiled_metrics'",
        "Keras 3 has no compiled_metrics: write"
        " `for metric in self.metrics: metric.update_state(y, y_pred)`, all but the loss.",
        code="SLP-856",
    ),
    Row(
        "TypeError",
        r"`LearningRateSchedule`.*not settable",
        "A learning rate that follows a schedule takes no number, from a LearningRateScheduler"
        " neither: give the optimizer a number to begin with, or set another schedule.",
        code="SLP-857",
    ),
    Row(
        "ValueError",
        r"`steps_per_execution` must be 1",
        "PyTorch runs one step at a time in Keras: leave steps_per_execution out of compile().",
        code="SLP-858",
    ),
    Row(
        "TypeError",
        r"unexpected keyword argument 'from_logits'",
        "from_logits belongs to the loss: loss=keras.losses.BinaryCrossentropy(from_logits=True)"
        " for a model whose last layer has no activation.",
        code="SLP-859",
    ),
    Row(
        "ValueError",
        r"`output` must have rank|same shape up until the last dimension",
        "A sparse loss wants one class number for each example: for one-hot labels use"
        " loss='categorical_crossentropy', or labels.argmax(-1).",
        code="SLP-860",
    ),
    Row(
        "ValueError",
        r"`target` and `output` must have the same (shape|rank)",
        "This loss wants labels of the shape of the model's output: for class numbers use"
        " loss='sparse_categorical_crossentropy'; otherwise match the last layer's units.",
        code="SLP-861",
    ),
    Row(
        "InvalidArgumentError|IndexError",
        r"label value of .* outside the valid range|Target -?\d+ is out of bounds",
        "Labels count from 0 to the number of classes minus 1: subtract what they begin with, or"
        " give the last layer more units.",
        code="SLP-862",
    ),
    Row(
        "ValueError|TypeError|UnimplementedError",
        r"Failed to convert a NumPy array to a Tensor|Cast string to|object_|type object\b"
        r"|dtype object|inhomogeneous|Invalid dtype: object|not a valid JAX (array )?type",
        "Text, None or rows of different lengths cannot be trained on: number the labels, fill"
        " what is missing, pad the rows.",
        code="SLP-863",
    ),
    Row(
        "ModuleNotFoundError",
        r"No module named '(tensorflow|jax|torch)'",
        "That backend is not installed: install it, or run with --backend and the name of one"
        " that is.",
        code="SLP-864",
    ),
    Row(
        "ValueError",
        r"Unable to import backend",
        "KERAS_BACKEND (or ~/.keras/keras.json) names no backend: tensorflow, jax or torch.",
        code="SLP-865",
    ),
    Row(
        "AttributeError",
        r"no attribute 'lr'",
        "Keras 3 calls it learning_rate: optimizer.learning_rate.",
        code="SLP-866",
    ),
    Row(
        "AttributeError",
        r"no attribute 'minimize'",
        "Optimizers of Keras 3 have no minimize(): take the gradients (tf.GradientTape, jax.grad,"
        " loss.backward()), then optimizer.apply(gradients, variables).",
        code="SLP-867",
    ),
    Row(
        "ValueError",
        r"not recognized: .*'lr'",
        "Keras 3 calls it learning_rate: Adam(learning_rate=1e-3).",
        code="SLP-868",
    ),
    Row(
        "UserWarning|ValueError",
        r"`?decay`? is no longer supported|not recognized: .*'decay'",
        "Optimizers of Keras 3 have no decay: use learning_rate="
        "keras.optimizers.schedules.InverseTimeDecay(rate, 1, decay).",
        code="SLP-869",
    ),
    Row(
        "ImportError",
        r"optimizers\.legacy",
        "Keras 3 has no legacy optimizers: drop `.legacy`, tf.keras.optimizers.Adam is the same"
        " algorithm.",
        code="SLP-870",
    ),
    Row(
        "AttributeError",
        r"no attribute '(fit|evaluate|predict)_generator'",
        "Keras 3 takes generators in fit(), evaluate() and predict() themselves.",
        code="SLP-871",
    ),
    Row(
        "AttributeError",
        r"no attribute 'predict_(classes|proba)'",
        "Keras 3 has predict() alone: model.predict(x).argmax(-1) are the classes.",
        code="SLP-872",
    ),
    Row(
        "TypeError|ValueError",
        r"(argument|arguments|recognized).*'(workers|use_multiprocessing|max_queue_size)'",
        "Keras 3 takes workers, use_multiprocessing and max_queue_size in the constructor of a"
        " keras.utils.PyDataset, not in fit().",
        code="SLP-873",
    ),
    Row(
        "TypeError|ValueError",
        r"argument.*'(experimental_run_tf_function|sample_weight_mode|target_tensors)'",
        "That argument of compile() is gone since Keras 2: leave it out.",
        code="SLP-874",
    ),
    Row(
        "TypeError|ValueError",
        r"argument.*'period'",
        "ModelCheckpoint of Keras 3 has no period: save_freq='epoch', or a number of batches.",
        code="SLP-875",
    ),
    Row(
        "ValueError",
        r"keyword arguments passed to \w+: .*'(weights|batch_input_shape)'",
        "Layers of Keras 3 take neither weights= nor batch_input_shape=: use set_weights() or an"
        " initializer, and begin the model with keras.Input(shape).",
        code="SLP-876",
    ),
    Row(
        "AttributeError",
        r"module '[\w.]*keras[\w.]*\.backend' has no attribute",
        "keras.backend of Keras 3 holds no functions on tensors: keras.ops has them.",
        code="SLP-877",
    ),
    Row(
        "ModuleNotFoundError|ImportError",
        r"No module named '(tensorflow\.)?keras\.|cannot import name .* from '[\w.]*keras",
        "That is a place of Keras 2: layers are in keras.layers, to_categorical and Sequence"
        " (PyDataset) in keras.utils, functions on tensors in keras.ops.",
        code="SLP-878",
    ),
    Row(
        "ValueError",
        r"Invalid filepath extension for saving|filepath provided must end in"
        r"|filename must end in|`save_format` argument is deprecated",
        "Keras 3 saves models as name.keras and weights as name.weights.h5; model.export(folder)"
        " writes a SavedModel.",
        code="SLP-879",
    ),
)


def advice_for(error: BaseException) -> str | None:
    """Return one line on what is wrong and how to mend it, or None where we do not know.

    Args:
        error: What the script raised; its causes are looked at too.

    Example:
        >>> advice_for(AttributeError("'Adam' object has no attribute 'lr'"))
        'Keras 3 calls it learning_rate: optimizer.learning_rate. [SLP-866]'
        >>> advice_for(ValueError("my own")) is None
        True
    """
    for one in family(error):
        kinds = {kind.__name__ for kind in type(one).__mro__}
        text = _text(one)
        lines = "\n".join([text, *_lines(one)])
        for row in ROWS:
            if row.fits(kinds, text, lines):
                return f"{row.advice} [{row.code}]"
    return None


def _text(error: BaseException) -> str:
    try:
        return " ".join(str(error).split())
    except Exception:
        return ""


def _lines(error: BaseException) -> list[str]:
    """Return the source lines that the error came through."""
    return [
        linecache.getline(frame.f_code.co_filename, number).strip()
        for frame, number in traceback.walk_tb(error.__traceback__)
    ]
