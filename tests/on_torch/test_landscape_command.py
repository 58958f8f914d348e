"""The landscape of a run folder, in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import slipstream
from slipstream.cli.app import app
from slipstream.errors import RecordError
from slipstream.loss_surface import read_landscape


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a built-in task."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    changes = {"runtime.backend": "torch", "duration.epochs": 1}
    slipstream.fit("breast_cancer", changes=changes, folder=folder, progress=False)
    return folder


def test_it_writes_numbers_and_a_picture(run: Path) -> None:
    arguments = ["landscape", str(run), "--points", "3", "--examples", "50", "--json"]
    result = CliRunner().invoke(app, arguments, obj=arguments)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout.splitlines()[-1])
    found = read_landscape(run)
    assert told["sharpness"] == found.sharpness
    assert (len(found.losses), found.examples, found.task) == (3, 50, "breast_cancer")
    page = (run / "landscape.html").read_text(encoding="utf-8")
    assert "surface" in page and f"{found.sharpness:.4g}" in page


def test_a_folder_without_weights_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_bytes((run / "record.json").read_bytes())
    with pytest.raises(RecordError, match="weights"):
        slipstream.landscape(tmp_path, progress=False)
