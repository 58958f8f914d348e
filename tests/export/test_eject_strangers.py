"""Scripts of a task that a stranger handed over: what they named stays text."""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from slipstream.errors import InputError
from slipstream.export import eject
from slipstream.plan import Plan

# Evaluations within an epoch, patience and a plateau name the monitor in several places.
PLAN = Plan().edit(
    {
        "duration.evaluations_per_epoch": 3,
        "duration.patience": 2,
        "schedule.plateau_patience": 1,
        "groups.pattern": "a",
        "groups.rate": 0.5,
    }
)
RUN = 'import os; os.system("id > owned")'
PAYLOADS = (
    f'"""\n{RUN}\n"""',
    f'"\n{RUN}\n"',
    f'"; {RUN} #',
    f"'; {RUN} #",
    f'\\"; {RUN} #',
    f"\n{RUN}",
    f"\r{RUN}",
    f"\u2028{RUN}",
    f"{{__import__('os')}}; {RUN}",
    "@metrics@",
    "@data@()",
    "(@model@)()",
    '@metrics@"; 1; "',
    "\\",
    '"""',
    "\0",
)


def hand_over(folder: Path, word: str, loss: object = "mse") -> str:
    """Write a folder as if it had been handed over, with a word in all that one can name."""
    folder.mkdir()
    arrays = {"array_0": np.ones((8, 2)), "array_1": np.ones((8, 1))}
    np.savez(folder / "arrays.npz", **arrays)
    digest = hashlib.sha256((folder / "arrays.npz").read_bytes()).hexdigest()
    inputs = {"dict": {f"input{word}": {"array": "array_0"}}}
    description = {
        "name": f"mine{word}",
        "loss": loss,
        "metrics": ["accuracy", f"metric{word}"],
        "loss_weights": {f"output{word}": 1.0},
        "monitor": f"val_accuracy{word}",
        "target": None,
        "plan": Plan().to_dict(),
        "splits": {"train": [inputs, {"array": "array_1"}, None]},
        "notes": [word],
    }
    digests = {"model.keras": "0" * 64, "arrays.npz": digest}
    task = {"version": 1, "description": description, "digests": digests}
    (folder / "task.json").write_text(json.dumps(task))
    return str(folder)


def shape(script: str) -> str:
    """Return a script's statements, with every text in it left out."""
    tree = ast.parse(script)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


@pytest.mark.parametrize("word", PAYLOADS, ids=range(len(PAYLOADS)))
def test_what_is_named_is_text_in_the_script(tmp_path, word):
    plain = eject(PLAN, hand_over(tmp_path / "plain", ""))
    script = eject(PLAN.edit({"groups.pattern": "a@metrics@"}), hand_over(tmp_path / "other", word))
    assert shape(script) == shape(plain)
    monitor = next(
        node.value.value
        for node in ast.walk(ast.parse(script))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "MONITOR"
    )
    assert monitor == f"val_accuracy{word}"


@pytest.mark.parametrize(
    "loss",
    [
        {"class_name": f"Huber(); {RUN} #", "config": {}},
        {"class_name": "Huber", "config": {f"delta=1); {RUN} #": 1.0}},
        {"class_name": "slipstream>F1(); 1", "config": {}},
        {"class_name": "slipstream>print", "config": {}},
        {"class_name": "Huber.__init__", "config": {}},
        {"class_name": "lambda", "config": {}},
    ],
    ids=range(6),
)
def test_code_in_the_place_of_a_loss_is_refused(tmp_path, loss):
    with pytest.raises(InputError, match="called by a name"):
        eject(PLAN, hand_over(tmp_path / "task", "", loss))
