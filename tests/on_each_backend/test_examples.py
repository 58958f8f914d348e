"""Every example runs by itself on one backend, and stands by what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples"
# Spread so that every backend runs some: each costs several starts of Keras.
ON = {
    "accumulation": "jax",
    "custom_loss_and_metric": "jax",
    "f1": "torch",
    "focal_loss": "torch",
    "mixed_precision": "tensorflow",
    "mixup_cutmix": "tensorflow",
    "multi_output": "tensorflow",
    "report_of_a_script": "tensorflow",
    "rnn_with_clipping": "torch",
    "time_series": "tensorflow",
    "transfer": "jax",
    "transformer_muon": "torch",
}
# A script that an example runs.
PARTS = {"team_script"}


def test_every_example_is_run_on_one_backend_and_named_in_the_readme() -> None:
    assert {file.stem for file in FOLDER.glob("*.py")} == {*ON, *PARTS}
    readme = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    assert [name for name in ON if f"examples/{name}.py" not in readme] == []


@pytest.mark.parametrize("name", sorted(ON))
def test_an_example_runs_and_stands_by_what_it_says(name: str, backend: str) -> None:
    if ON[name] != backend:
        pytest.skip(f"runs on {ON[name]}")
    command = [sys.executable, str(FOLDER / f"{name}.py")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=240, env=os.environ.copy()
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # A few lines of what was measured.
    assert len(done.stdout.splitlines()) >= 3
    assert any(character.isdigit() for character in done.stdout)
