"""TensorBoard itself, where TensorFlow is not installed: its own reader, and its page."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.report.payloads import MARK, PAYLOADS

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
DRIVER = shutil.which("chromedriver") or "/usr/bin/chromedriver"

needs_chromium = pytest.mark.skipif(
    not (Path(CHROMIUM).exists() and Path(DRIVER).exists()), reason="chromium is not installed"
)

# As if it were not installed.
WITHOUT_TENSORFLOW = "import sys; sys.modules['tensorflow'] = None\n"

TRAIN_TWICE = """
from pathlib import Path

import keras
import numpy as np

from slipstream.data.splits import Data, Split
from slipstream.engine import train
from slipstream.observers import TensorBoardWriter
from slipstream.plan import Plan
from slipstream.task import Task

x = np.random.default_rng(0).uniform(size=(60, 8, 8, 1)).astype("float32")
y = np.random.default_rng(1).integers(0, 3, 60)
data = Data(Split(x[:40], y[:40]), Split(x[40:], y[40:]))


def model():
    layers = keras.layers
    hidden = layers.Dense(8, "relu", name="hidden")
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), hidden, layers.Dense(3)])


loss = {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}}
task = Task(model=model, data=lambda: data, loss=loss, metrics=["accuracy"], monitor="val_loss")
for name, rate in (("slow", 0.01), ("fast", 0.1)):
    plan = Plan().edit(
        {
            "runtime.backend": "torch",
            "schedule.peak": rate,
            "duration.epochs": 3,
            "monitoring.layers_every": 1,
            "monitoring.histograms": True,
            "monitoring.wrong_images": 4,
            "monitoring.profile": 2,
        }
    )
    folder = Path(sys.argv[1]) / name
    record = train(task, plan, data=data, folder=folder, observers=[TensorBoardWriter(folder)])
    assert record.failure is None, record.failure
"""

WRITE_NAMES = """
import json
from pathlib import Path

from slipstream.engine import Evaluated, Signalled
from slipstream.observers import TensorBoardWriter
from slipstream.record import Point, Signal

writer = TensorBoardWriter(Path(sys.argv[1]))
for step, word in enumerate(json.loads(Path(sys.argv[2]).read_text()), 1):
    values = {word: 1.0, f"val_{word}": 0.5}
    writer(Evaluated(Point(step=step, epoch=1.0, seconds=1.0, values=values), True, 0.1))
    writer(Signalled(Signal(epoch=1.0, step=step, kind=word, seen=word, advice=word)))
writer._writer.close()
"""

# Text in the shadow of elements, too.
ALL_TEXT = """
const texts = [];
const walk = (root) => {
  texts.push(root.textContent || "");
  for (const one of root.querySelectorAll("*")) if (one.shadowRoot) walk(one.shadowRoot);
};
walk(document.body);
return texts.join(" ");
"""

HANDLERS = """
const found = [];
const walk = (root) => {
  for (const one of root.querySelectorAll("*")) {
    for (const {name, value} of one.attributes)
      if (/^on|href|src/.test(name) && value.includes("xss")) found.push(`${name}=${value}`);
    if (one.shadowRoot) walk(one.shadowRoot);
  }
};
walk(document);
return found;
"""

READ = """
import json

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(sys.argv[1])
events.Reload()
tags = {name: value for name, value in events.Tags().items() if isinstance(value, list)}
steps = [event.step for event in events.Scalars("gradient_norm")]
print(json.dumps({"tags": tags, "steps": steps}))
"""

SERVE = """
import runpy

runpy.run_module("tensorboard.main", run_name="__main__")
"""


def without_tensorflow(source: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a source in a process that cannot import TensorFlow."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW + source, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that were trained and monitored without TensorFlow."""
    folder = tmp_path_factory.mktemp("runs")
    done = without_tensorflow(TRAIN_TWICE, folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def test_tensorboards_reader_finds_everything(runs: Path) -> None:
    done = without_tensorflow(READ, runs / "fast")
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    tags = {kind: set(names) for kind, names in found["tags"].items()}
    assert {
        *("training/loss", "training/accuracy", "validation/loss", "validation/accuracy"),
        *("learning_rate", "examples_per_second", "gradient_norm", "dead_units/hidden"),
        "best/val_loss",
    } <= tags["scalars"]
    assert any(tag.startswith("gradient_norms/") for tag in tags["scalars"])
    kinds = [tag.partition("/")[0] for tag in tags["histograms"]]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "weights": 4,
        "gradients": 4,
        "activations": 3,
    }
    assert tags["images"] == {"wrong_predictions"}
    assert found["steps"] == [0, 2, 4, 6]


@contextlib.contextmanager
def served(runs: Path) -> Iterator[str]:
    """TensorBoard's address, while it serves some runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (runs / "server.log").open("w")
    server = subprocess.Popen(
        [
            *(sys.executable, "-c", WITHOUT_TENSORFLOW + SERVE, "--logdir", str(runs)),
            *("--port", str(port), "--load_fast=false", "--reload_interval", "5"),
        ],
        stdout=log,
        stderr=log,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()
        log.close()


def asked(address: str, seconds: float = 60.0) -> object:
    """Return what a page answers in JSON, once it answers something."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                if value := json.loads(answer.read()):
                    return value
        except OSError:
            pass
        assert time.monotonic() < end, f"{address} says nothing"
        time.sleep(0.3)


@contextlib.contextmanager
def opened(profile: Path) -> Iterator[object]:
    """A browser."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,1200")
    for flag in (*flags, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    service = webdriver.ChromeService(executable_path=DRIVER)
    browser = webdriver.Chrome(service=service, options=options)
    try:
        yield browser
    finally:
        browser.quit()


@needs_chromium
def test_its_page_shows_both_runs(runs: Path, tmp_path: Path) -> None:
    from PIL import Image

    with served(runs) as page, opened(tmp_path / "profile") as browser:
        assert sorted(asked(f"{page}/data/runs")) == ["fast", "slow"]
        active = asked(f"{page}/data/plugins_listing")
        shown = {name for name, plugin in active.items() if plugin["enabled"]}
        assert {"scalars", "histograms", "distributions", "images", "hparams"} <= shown
        browser.get(f"{page}/#timeseries")
        words = ("fast", "slow", "validation", "learning_rate", "wrong_predictions")
        end = time.monotonic() + 60
        while missing := [word for word in words if word not in text_of(browser)]:
            assert time.monotonic() < end, f"{missing} not in {text_of(browser)[:800]}"
            time.sleep(0.3)
        time.sleep(1.0)
        picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    # Curves of two colours, axes and text: more than an empty page has.
    assert len(picture.getcolors(maxcolors=2**24)) > 200


@needs_chromium
def test_no_name_runs_as_a_script(tmp_path: Path) -> None:
    words = tmp_path / "words.json"
    words.write_text(json.dumps(PAYLOADS))
    runs = tmp_path / "runs"
    runs.mkdir()
    done = without_tensorflow(WRITE_NAMES, runs / f"run <img src=x onerror={MARK}>", words)
    assert done.returncode == 0, done.stderr[-2000:]
    with served(runs) as page, opened(tmp_path / "profile") as browser:
        assert len(asked(f"{page}/data/runs")) == 1
        for part, word in (("timeseries", "learning_rate"), ("text", "epoch 1")):
            browser.get("about:blank")
            browser.get(f"{page}/#{part}")
            end = time.monotonic() + 30
            while word not in browser.execute_script(ALL_TEXT):
                assert time.monotonic() < end, f"{word} not in {part}"
                time.sleep(0.3)
            assert browser.execute_script("return window.xss === undefined"), part
            assert browser.execute_script(HANDLERS) == [], part


def text_of(browser: object) -> str:
    """Return all text that the page shows."""
    return browser.execute_script("return document.body.innerText")
