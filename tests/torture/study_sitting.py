"""One sitting of a study that may be killed: `python -m torture.study_sitting COMMAND FOLDER`.

It runs one of the commands with workers whose trainings are made up, or `train`, a comparison that
does train; goes on with what the folder holds, and says what happens on its standard output.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from slipstream.commands import ablate, compare, optimize
from slipstream.commands.look import launch_for
from slipstream.environment import environment
from slipstream.measure import Failed, Job, Launch
from slipstream.measure.interleave import failed_record
from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.tuning.runtime import search_runtime

WORKER = Path(__file__).with_name("made_up_worker.py")
TASK = Path(__file__).with_name("moments.py")
TRAINING_SECONDS = 0.3
BUDGET_SECONDS = 12.0
BACKEND = "torch"
GIVEN = Plan().edit({"runtime.backend": BACKEND, "schedule.peak": 1e-3, "duration.epochs": 5})
QUICK = GIVEN.edit({"schedule.peak": 5e-3, "clipping.global_norm": 1.0})
FACTS = TaskFacts(
    reference="digits", name="digits", fingerprint="f", data_hash="d", monitor="val_accuracy",
    mode="max", target=0.8, as_given=GIVEN, kind="classification", num_train=64,
    num_validation=64, num_test=64, num_classes=10, input_shapes={"x": (8,)},
    input_dtypes={"x": "float32"}, output_shapes={"y": (10,)}, parameters=90, multiply_adds=90,
    layers={"Dense": 1},
)  # fmt: skip


def main(command: str, folder: Path) -> None:
    """Run a command to its end."""
    resume = any((folder / name).exists() for name in ("command.json", "study.json"))
    if command == "train":
        _really_train(folder, resume)
    else:
        _make_up(command, folder, resume)


def _tell(happening: Any) -> None:
    print(type(happening).__name__, flush=True)


def _really_train(folder: Path, resume: bool) -> None:
    """Compare two plans of a small net with dropout, by workers as users have them."""
    plans = GIVEN.edit({"batch.size": 8}), QUICK.edit({"batch.size": 8})
    compare.compare(str(TASK), *plans, folder, num_seeds=3, resume=resume, listener=_tell)


def _make_up(command: str, folder: Path, resume: bool) -> None:
    worker = _worker(folder.with_name(f"{folder.name}.worker.json"))

    def launch(reference: str, run: Path | None = None) -> Launch:
        made = launch_for(reference, run)
        return Launch(made.reference, log_folder=made.log_folder, command=worker)

    commands: dict[str, Any] = {
        "compare": partial(compare.compare, "digits", GIVEN, QUICK, num_seeds=3, resume=resume),
        "ablate": partial(ablate.ablate, "digits", QUICK, num_seeds=3, resume=resume),
        "optimize": partial(optimize.optimize, "digits", settings=_settings(resume)),
    }
    module = {"compare": compare, "ablate": ablate, "optimize": optimize}[command]
    search = partial(search_runtime, command=worker)
    with (
        mock.patch.object(module, "launch_for", launch),
        mock.patch.object(optimize, "search_runtime", search),
    ):
        commands[command](folder=folder, listener=_tell)


def _settings(resume: bool) -> optimize.OptimizeSettings:
    return optimize.OptimizeSettings(
        BUDGET_SECONDS, 3, (BACKEND,), allow_precision=False, resume=resume, remember=False
    )


def _worker(file: Path) -> tuple[str, ...]:
    record = failed_record(Job("a", GIVEN, file), FACTS, Failed("crash", "none"))
    given = {
        "facts": FACTS.model_dump(mode="json"),
        "record": {
            **record.model_dump(mode="json", exclude={"points"}),
            "failure": None,
            "started_at": "2026-01-01T00:00:00+00:00",
            "environment": environment().model_dump(mode="json"),
        },
        "seconds": TRAINING_SECONDS,
    }
    beside = file.with_name(f"{file.name}.part")
    beside.write_text(json.dumps(given), encoding="utf-8")
    beside.replace(file)
    return (sys.executable, "-S", str(WORKER), str(file))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
