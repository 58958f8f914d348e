"""The catalogue of checks."""

from slipstream.doctor import all_checks
from slipstream.doctor._catalogue import CHECKS, SOURCES


def test_every_check_has_its_entry_once():
    names = [entry.name for entry in CHECKS]
    of_files = {check.__module__.rpartition(".")[2] for check in all_checks()}
    # A plan's losses are put into the case before its checks begin.
    assert set(names) == of_files | {"plan_loss"}
    everything = [entry.name for entry in (*CHECKS, *SOURCES)]
    assert len(set(everything)) == len(everything)
    for entry in (*CHECKS, *SOURCES):
        assert entry.title and entry.cure.endswith(".") and not entry.title.endswith(".")
    assert all(entry.cause for entry in SOURCES)
