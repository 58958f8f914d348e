"""A search's journal that somebody made up is refused before anything is done with it."""

from pathlib import Path

import pytest

from slipstream.errors import RecordError
from slipstream.tuning.journal import JOURNAL_FILE, check_journal, open_study
from torture.models import made_up_journals, searched


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / JOURNAL_FILE


# Optuna passes over it, or takes it for what it is.
HARMLESS = ("a trial without a study", "a range 0")
WRONG = {what: content for what, content in made_up_journals() if what not in HARMLESS}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
def test_what_no_search_writes_is_refused_and_left_alone(journal, content):
    journal.write_bytes(content)
    with pytest.raises(RecordError, match="the journal of a search") as caught:
        open_study(journal)
    assert caught.value.code == "SLP-637"
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000
    assert journal.read_bytes() == content


def test_what_a_search_wrote_is_taken_up_half_a_last_line_or_not(journal):
    content = searched(journal)
    for more in (b"", b'{"op_code": 4, "worker'):
        journal.write_bytes(content + more)
        study, _ = open_study(journal)
        states = [trial.state.name for trial in study.trials]
        assert states == ["COMPLETE", "COMPLETE", "RUNNING"]
        # Optuna asks for the study by beginning it.
        assert journal.read_bytes().startswith(content + b'{"op_code":0')


def test_a_link_is_not_followed(journal, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"half a line")
    journal.symlink_to(theirs)
    for begin in (check_journal, open_study):
        with pytest.raises(RecordError, match="a link to somewhere else"):
            begin(journal)
    assert theirs.read_bytes() == b"half a line"
