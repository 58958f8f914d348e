"""Studies are not gone on with on a task, data or an installation that changed since."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipstream.commands._optimize_values import FirstLook
from slipstream.errors import RecordError
from slipstream.measure import changed
from slipstream.tuning.study import Identity, Study
from torture import study_sitting
from torture.studies import TESTS


def contents(folder: Path) -> dict[Path, bytes]:
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "logs" not in path.parts and path.name != "run.lock.json"
    }


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_sitting, "TRAINING_SECONDS", 0.0)
    monkeypatch.chdir(TESTS)


@pytest.mark.parametrize("command", ["compare", "ablate"])
def test_finished_runs_of_other_data_or_versions_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    folder = tmp_path / "study"
    study_sitting._make_up(command, folder, resume=False)
    before = contents(folder)
    here = study_sitting.environment()
    newer = here.model_copy(update={"versions": {**here.versions, "keras": "99.0"}})
    with monkeypatch.context() as patch:
        patch.setattr(changed, "environment", lambda: newer)
        with pytest.raises(RecordError, match=r"keras 99\.0 where it was 3.*SLP-648"):
            study_sitting._make_up(command, folder, resume=True)
    others = study_sitting.FACTS.model_copy(update={"data_hash": "other"})
    monkeypatch.setattr(study_sitting, "FACTS", others)
    with pytest.raises(RecordError, match=r"other data\. .*SLP-648"):
        study_sitting._make_up(command, folder, resume=True)
    assert contents(folder) == before


def test_a_search_looks_whether_its_data_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "study"
    study = Study(folder, Identity("digits", 3, (study_sitting.BACKEND,), False), 12.0, False)
    study.refuse_changed(study_sitting.FACTS)
    study.store("look", FirstLook(facts=study_sitting.FACTS), 1.0)
    study.close()
    others = study_sitting.FACTS.model_copy(update={"fingerprint": "other"})
    monkeypatch.setattr(study_sitting, "FACTS", others)
    with pytest.raises(RecordError, match="SLP-632"):
        study_sitting._make_up("optimize", folder, resume=True)
