"""The journal of a search: what Optuna appends to it, and how a journal of anybody is read."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, final

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from slipstream.errors import RecordError
from slipstream.files import is_other_than_file, values_in, whole_lines
from slipstream.plan import Value
from slipstream.record import JsonModel
from slipstream.tuning.context import TUNING_SEED
from slipstream.tuning.finals import Tried
from slipstream.tuning.rates import RateRange

JOURNAL_FILE, STUDY_NAME = "optuna.journal", "learn"
# What the journal keeps of a trial beside its parameters and value, and of the study.
ROW, TRIED, RANGES = "row", "tried", "ranges"
# Some thousand bytes a trial: searches of weeks stay below.
MOST_BYTES = 32 << 20
# Where Optuna keeps the parameters of a trial that waits for its turn.
WAITING_FOR = "fixed_params"


class TrialRow(JsonModel):
    """One trial of the study."""

    number: int
    recipe: str
    changes: dict[str, Value]
    score: float
    seconds_to_target: float
    best_value: float | None
    outcome: str


def open_study(journal: Path) -> tuple[optuna.Study, JournalStorage]:
    """Return the study in a journal, and its storage; begun where there is none.

    Args:
        journal: The file; its folder is this process's.

    Raises:
        RecordError: There is one that was not written by a search.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # A lock that is there is that of a process that was killed.
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    check_journal(journal)
    whole_lines(journal)
    storage = JournalStorage(JournalFileBackend(str(journal)))
    # It proposes nothing: every trial gets its parameters when it is written down.
    sampler = optuna.samplers.RandomSampler(seed=TUNING_SEED)
    study = optuna.create_study(
        storage=storage, study_name=STUDY_NAME, sampler=sampler, load_if_exists=True
    )
    return study, storage


def check_journal(journal: Path) -> None:
    """Refuse a journal that no search wrote, before anything is done with it.

    It is gone through in memory, by Optuna itself: nothing is written, and nothing in it is code.

    Raises:
        RecordError: It is a link, no file, too long, or says what no search says.
    """
    if journal.is_symlink():
        refuse(journal, "a link to somewhere else")
    if not journal.exists():
        return
    if is_other_than_file(journal):
        refuse(journal, "a pipe, a device or a folder")
    try:
        with journal.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        refuse(journal, f"one that cannot be read ({error.strerror})")
    if len(content) > MOST_BYTES:
        refuse(journal, f"more than {MOST_BYTES:,} bytes")
    # Half a last line is what a process leaves that was killed while it wrote.
    whole = content[: content.rfind(b"\n") + 1]
    try:
        _replay(_Lines(whole))
    except Exception as error:  # What a line can make Optuna raise has no common class.
        said = (str(error).strip() or "unknown entries").splitlines()[0][:200]
        refuse(journal, f"one with other lines ({type(error).__name__}: {said!r})")


@final
class _Lines(BaseJournalBackend):
    """A journal in memory, to which nothing is added."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        for line in itertools.islice(io.BytesIO(self._content), log_number_from, None):
            yield values_in(line)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise ValueError(f"{len(logs)} lines for a journal that is only read")


def _replay(lines: _Lines) -> None:
    """Raise whatever going on with these lines would raise later."""
    storage = JournalStorage(lines)
    studies = storage.get_all_studies()
    if not studies:
        return
    if [study.study_name for study in studies] != [STUDY_NAME]:
        raise ValueError("studies of other names")
    study = optuna.load_study(study_name=STUDY_NAME, storage=storage)
    for found in study.user_attrs.get(RANGES, {}).values():
        RateRange.model_validate(found)
    trials = study.trials
    # What the sampler is told of; a copy looks at each trial as a whole.
    copy = optuna.create_study()
    if study.directions != copy.directions:
        raise ValueError("a search for something else than the smallest score")
    copy.add_trials([trial for trial in trials if trial.state.is_finished()])
    for trial in trials:
        _check_trial(trial)


def _check_trial(trial: FrozenTrial) -> None:
    if ROW in trial.user_attrs:
        TrialRow.model_validate(trial.user_attrs[ROW])
    if TRIED in trial.user_attrs:
        Tried.model_validate(trial.user_attrs[TRIED])
    fixed = trial.system_attrs.get(WAITING_FOR, {})
    if not isinstance(fixed, dict) or not all(isinstance(one, Value) for one in fixed.values()):
        raise ValueError("parameters that are no values")
    if trial.state == TrialState.WAITING and not fixed:
        raise ValueError("a trial that waits without parameters")


def refuse(journal: Path, came: str) -> NoReturn:
    """Raise what says that a journal is none of a search that could go on."""
    raise RecordError(
        f"the journal of a search at {journal}",
        came,
        "Start a new study in another folder.",
        code="SLP-637",
    )
