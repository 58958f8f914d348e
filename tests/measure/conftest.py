"""Workers that speak the protocol without Keras."""

import json
import sys
from pathlib import Path

import pytest

from slipstream.measure import Launch
from slipstream.task import AS_GIVEN, TaskFacts

FAKE = Path(__file__).parent / "fake_worker.py"


@pytest.fixture
def fake_launch(tmp_path):
    """Return a function from rules to a Launch of fake workers."""

    def make(*rules, **settings):
        file = tmp_path / "rules.json"
        file.write_text(json.dumps(rules))
        command = (sys.executable, "-S", str(FAKE), str(file), str(tmp_path / "requests.jsonl"))
        return Launch("digits", log_folder=tmp_path / "logs", command=command, **settings)

    return make


@pytest.fixture
def asked(tmp_path):
    """Return a function that lists the requests that fake workers were asked."""

    def read():
        file = tmp_path / "requests.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    return read


@pytest.fixture
def record_values(facts):
    """The values of a record, as JSON has them."""
    from slipstream.measure.interleave import Job, failed_record
    from slipstream.measure.manager import Failed

    job = Job("a", facts.as_given, Path("run"))
    record = failed_record(job, facts, Failed("crash", "none"))
    return record.model_copy(update={"failure": None}).model_dump(mode="json")


@pytest.fixture
def facts():
    """The facts of a small dense task."""
    return TaskFacts(
        reference="digits",
        name="digits",
        fingerprint="f" * 12,
        data_hash="d" * 16,
        monitor="val_accuracy",
        mode="max",
        target=0.97,
        as_given=AS_GIVEN,
        kind="classification",
        num_train=1100,
        num_validation=300,
        num_test=300,
        num_classes=10,
        input_shapes={"pixels": (64,)},
        input_dtypes={"pixels": "float32"},
        output_shapes={"digit": (10,)},
        parameters=5000,
        multiply_adds=5000,
        layers={"Dense": 2},
    )
