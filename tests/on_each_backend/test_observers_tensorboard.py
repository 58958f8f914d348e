"""The events file of a run, read back record by record."""

import html
import io
import re
import struct
import time
import warnings

import keras
import numpy as np
import pytest
from engine_help import data, plan, task
from PIL import Image
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData
from tests.report.payloads import PAYLOADS

from slipstream.data.splits import Data, Split
from slipstream.engine import Evaluated, Looked, Pictured, Signalled, train
from slipstream.observers import TensorBoardWriter
from slipstream.record import Point, Signal


def read_events(folder):
    """Return all events of the one file in a folder; its frames are length, check, data, check."""
    (file,) = folder.glob("events.out.tfevents.*")
    left, events = file.read_bytes(), []
    while len(left) >= 16:
        (length,) = struct.unpack("<Q", left[:8])
        events.append(Event.FromString(left[12 : 12 + length]))
        left = left[16 + length :]
    return events


def values_of(events):
    """Return {tag: [(step, value)]} of all scalars."""
    scalars = {}
    for event in events:
        for value in event.summary.value:
            if value.HasField("simple_value"):
                scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
    return scalars


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    record = train(
        task(), plan(), data=data(45), folder=folder, observers=[TensorBoardWriter(folder)]
    )
    return folder, record


def test_what_is_not_finite_is_drawn_without_a_word(tmp_path, caplog):
    writer = TensorBoardWriter(tmp_path)
    values = {"loss": 0.5, "val_loss": np.nan, "val_error": np.inf}
    writer(Evaluated(Point(step=3, epoch=1.0, seconds=0.0, values=values), False, 0.1))
    writer._writer.close()
    assert caplog.messages == []
    curves = values_of(read_events(tmp_path))
    assert curves["training/loss"] == [(3, 0.5)]
    assert np.isnan(curves["validation/loss"][0][1])
    assert curves["validation/error"] == [(3, np.inf)]


def test_curves_over_updates(written):
    folder, record = written
    curves = values_of(read_events(folder))
    for name, tag in {
        "loss": "training/loss",
        "accuracy": "training/accuracy",
        "val_loss": "validation/loss",
        "val_accuracy": "validation/accuracy",
    }.items():
        expected = [(point.step, np.float32(point.values[name])) for point in record.points]
        assert curves[tag] == expected
    assert curves["learning_rate"] == [(step, np.float32(0.1)) for step in (6, 12, 18)]
    assert [step for step, _ in curves["examples_per_second"]] == [6, 12, 18]
    assert all(value > 0 for _, value in curves["examples_per_second"])


def test_a_run_that_goes_on_hides_what_was_drawn_after_the_checkpoint(tmp_path):
    def evaluated(step):
        return Evaluated(Point(step=step, epoch=0.0, seconds=0.0, values={}), False, 0.1 * step)

    first, second = tmp_path / "first", tmp_path / "second"
    before, after = TensorBoardWriter(first), TensorBoardWriter(second, goes_on=True)
    before(evaluated(2))
    state = before.state()
    before(evaluated(4))
    after.restore(state)
    after(evaluated(4))
    for writer in (before, after):
        writer.restore(state)
    # TensorBoard leaves out what stands in earlier files from this step on.
    starts = [event.step for event in read_events(second) if event.HasField("session_log")]
    assert starts == [3]
    assert values_of(read_events(second))["learning_rate"] == [(4, np.float32(0.4))]
    assert not any(event.HasField("session_log") for event in read_events(first))


def test_the_plan_and_what_it_came_to(written):
    folder, record = written
    events = read_events(folder)
    plugins = {
        value.tag: HParamsPluginData.FromString(value.metadata.plugin_data.content)
        for event in events
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "hparams"
    }
    settings = plugins["_hparams_/session_start_info"].session_start_info.hparams
    assert settings["optimizer.name"].string_value == "sgd"
    assert settings["batch.size"].number_value == 8
    assert settings["optimizer.nesterov"].bool_value is False
    assert set(settings) == set(plan().flat())
    curves = values_of(events)
    assert curves["final/val_loss"] == [(18, np.float32(record.final_values["val_loss"]))]
    assert curves["best/val_loss"] == [(18, np.float32(record.best_value))]


def test_curves_can_be_read_before_the_end(tmp_path):
    writer = TensorBoardWriter(tmp_path)
    point = Point(step=7, epoch=1.0, seconds=1.0, values={"val_loss": 0.5})
    assert writer(Evaluated(point, True, 0.25)) is None
    expected = {
        "validation/loss": [(7, 0.5)],
        "learning_rate": [(7, 0.25)],
        "examples_per_second": [(7, 0.0)],
    }
    for _ in range(200):
        if (curves := values_of(read_events(tmp_path))) == expected:
            break
        time.sleep(0.1)
    assert curves == expected


def test_a_run_that_failed_closes_its_file(tmp_path):
    def fail(event):
        if isinstance(event, Evaluated):
            raise RuntimeError("no")

    record = train(
        task(), plan(), data=data(), folder=tmp_path, observers=[TensorBoardWriter(tmp_path), fail]
    )
    assert record.outcome == "failed"
    assert values_of(read_events(tmp_path))["validation/loss"]


def image_task():
    generator = np.random.default_rng(0)
    x = generator.uniform(size=(60, 6, 6, 1)).astype("float32")
    y = generator.integers(0, 3, 60)
    images = Data(Split(x[:40], y[:40]), Split(x[40:], y[40:]))

    def model():
        layers = keras.layers
        return keras.Sequential([keras.Input((6, 6, 1)), layers.Flatten(), layers.Dense(3)])

    return task(model), images


def test_histograms_pictures_and_signals_are_read_back(tmp_path):
    looks, pictures = [], []

    def keep(event):
        if isinstance(event, Looked):
            looks.append(event)
        elif isinstance(event, Pictured):
            pictures.append(event)

    changes = {
        "duration.epochs": 1,
        "monitoring.layers_every": 1,
        "monitoring.histograms": True,
        "monitoring.wrong_images": 4,
    }
    of_images, images = image_task()
    train(
        of_images,
        plan(changes),
        data=images,
        folder=tmp_path,
        observers=[TensorBoardWriter(tmp_path), keep],
    )
    events = read_events(tmp_path)
    curves = values_of(events)
    assert [step for step, _ in curves["gradient_norm"]] == [0, 5]
    norm = np.sqrt(sum(np.sum(np.square(g)) for g in looks[-1].gradients.values()))
    assert curves["gradient_norm"][-1][1] == pytest.approx(norm, rel=1e-5)
    wrong = pictures[-1]
    assert curves["validation/wrong_of_seen"] == [(5, pytest.approx(wrong.num_wrong / 20))]

    drawn = {
        value.tag: value.histo
        for event in events
        for value in event.summary.value
        if value.HasField("histo") and event.step == 5
    }
    seen = {
        f"{kind}/{name}": values
        for kind in ("weights", "gradients", "activations")
        for name, values in getattr(looks[-1], kind).items()
    }
    assert set(drawn) == set(seen) and len(seen) == 2 + 2 + 2
    for tag, values in seen.items():
        assert sum(drawn[tag].bucket) == drawn[tag].num == values.size
        assert drawn[tag].sum == pytest.approx(float(values.sum()), rel=1e-4, abs=1e-4)
        below = np.cumsum(drawn[tag].bucket)
        for limit, count in list(zip(drawn[tag].bucket_limit, below, strict=True))[:-1:9]:
            assert abs(count - np.sum(values <= limit)) <= 1

    (picture,) = (
        value.image for event in events for value in event.summary.value if value.HasField("image")
    )
    page = np.asarray(Image.open(io.BytesIO(picture.encoded_image_string)))
    assert page.shape == (picture.height, picture.width, 3)
    # The first tile begins within the gap around it; its pixels are repeated.
    assert page[7, 7].tolist() == [wrong.images[0, 0, 0, 0]] * 3


def test_what_a_run_showed_stands_there_as_text(tmp_path):
    writer = TensorBoardWriter(tmp_path)
    signal = Signal(epoch=2.0, step=9, kind="dead_units", seen="half of a", advice="Mend it.")
    writer(Signalled(signal))
    writer._writer.close()
    (text,) = (
        value
        for event in read_events(tmp_path)
        for value in event.summary.value
        if value.tag.startswith("signals/dead_units")
    )
    assert b"half of a. Mend it." in text.tensor.string_val[0]


def test_what_users_name_is_text_to_tensorboard(tmp_path):
    words = (*PAYLOADS, "![a](https://example.org/b.png)", "**a** `b` # c", "a_b_c", "| a |\n|---|")
    writer = TensorBoardWriter(tmp_path)
    for step, word in enumerate(words):
        writer(Signalled(Signal(epoch=1.0, step=step, kind="k", seen=word, advice=word)))
    writer._writer.close()
    texts = {
        event.step: value.tensor.string_val[0].decode()
        for event in read_events(tmp_path)
        for value in event.summary.value
        if value.tag.startswith("signals/k")
    }
    assert len(texts) == len(words)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.plugin_util import markdown_to_safe_html
    for step, word in enumerate(words):
        # TensorBoard's own: what is left of Markdown and HTML is shown.
        page = markdown_to_safe_html(texts[step])
        assert set(re.findall("<(/?[a-z0-9]+)", page)) == {"p", "/p", "strong", "/strong"}
        shown = html.unescape(re.sub("<[^>]*>", "", page)).split("1: ", 1)[1]
        wanted = " ".join(word.replace("\0", "").split())
        assert " ".join(shown.split()) == f"{wanted}. {wanted}"
