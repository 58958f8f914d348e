"""The README's task: short, and right as it is printed there."""

from __future__ import annotations

import re
from pathlib import Path

from slipstream import doctor, engine
from slipstream.data import to_data
from slipstream.plan import Plan
from slipstream.tasks import resolve

ROOT = Path(__file__).parents[2]


def readmes_task() -> str:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (source,) = [block for block in blocks if block.startswith("# my_task.py\n")]
    return source.partition("\n")[2]


def test_the_readmes_task_has_at_most_fifteen_lines() -> None:
    assert len([line for line in readmes_task().splitlines() if line.strip()]) <= 15


def test_the_readmes_task_trains(backend: str, tmp_path: Path) -> None:
    file = tmp_path / "my_task.py"
    file.write_text(readmes_task())
    task = resolve(str(file))
    data = to_data(task.data())
    _, model = engine.look(task, str(file), data)
    plan = Plan().edit({"runtime.backend": backend, "duration.epochs": 4, "schedule.peak": 0.02})
    assert doctor.examine(doctor.Case(data, model, plan, task.monitor, task.name)) == ()
    record = engine.train(task, plan, data=data)
    assert record.outcome == "completed"
    # About half of the points are within the circle: a constant answer gets no more.
    assert record.best_value is not None
    assert record.best_value > 0.8
