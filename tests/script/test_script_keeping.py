"""Every fit gets its record and its report, however many there are: without Keras."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slipstream.record import Environment, Point, Record, Timings, read_record
from slipstream.script.keeping import FEW, Keeper, Kept


def keep_one(keeper: Keeper) -> Path:
    number, folder = keeper.claim()
    points = [Point(step=n, epoch=n, seconds=0.1 * n, values={"loss": 1.0 / n}) for n in (1, 2, 3)]
    record = Record(
        task=f"train, fit {number}",
        reference="slipstream run train.py",
        fingerprint="0" * 12,
        data_hash="",
        plan={},
        plan_digest="",
        backend="jax",
        seed=0,
        monitor="loss",
        mode="min",
        target=None,
        started_at="2026-01-01T00:00:00+00:00",
        environment=Environment(machine={}, versions={}),
        timings=Timings(clock_seconds=0.3),
        outcome="completed",
        updates=3,
        epochs=3,
        examples_per_second=10.0,
        peak_memory_bytes=0,
        parameters=9,
        best_value=1 / 3,
        best_epoch=3,
        final_values=points[-1].values,
        points=points,
    )
    keeper.add(Kept(folder=folder, record=record))
    return folder


def at_once(work: Callable[[], Any]) -> Any:
    return work()


def test_each_of_many_fits_has_record_and_report(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "run")
    folders = [keep_one(keeper) for _ in range(FEW + 2)]
    keeper.finish(at_once)
    for number, folder in enumerate(folders, 1):
        assert folder == tmp_path / f"run/fit_{number}"
        assert read_record(folder).task == f"train, fit {number}"
        page = (folder / "report.html").read_text()
        assert f"train, fit {number}" in page
        # Five megabytes each would fill the disk: later ones have still pictures.
        assert (len(page) > 1_000_000) == (number <= FEW)
        assert (len(re.findall(r'<path class="side-2" d="M[\d.,L]+"', page)) == 1) == (number > FEW)
    assert keeper.elsewhere() == 0


def test_the_first_fits_are_written_as_they_end(tmp_path: Path) -> None:
    folder = keep_one(Keeper(tmp_path / "run"))
    assert read_record(folder).updates == 3


def test_a_forked_process_writes_its_fits_at_once(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "run")
    mine = [keep_one(keeper) for _ in range(FEW + 1)]
    # What a fork leaves: the same object, in a process of another number.
    child = copy.copy(keeper)
    child._process = -1
    theirs = keep_one(child)
    assert theirs == tmp_path / f"run/fit_{FEW + 2}"
    assert read_record(theirs).updates == 3
    assert (theirs / "report.html").exists()
    # What waits here stayed here.
    assert not (mine[-1] / "record.json").exists()
    assert (keeper.elsewhere(), len(keeper.kept)) == (1, FEW + 1)
    assert keep_one(keeper) == tmp_path / f"run/fit_{FEW + 3}"
