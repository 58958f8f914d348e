"""The page of checks, and the catalogue that it is made of."""

from pathlib import Path

from slipstream.doctor import all_checks
from slipstream.doctor._catalogue import CHECKS, SOURCES
from slipstream.doctor._page import main, page

PAGE = Path(__file__).parents[2] / "docs" / "data-checks.md"


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


def test_the_page_in_the_documentation_is_the_generated_one(tmp_path):
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m slipstream.doctor._page"
    main([str(tmp_path / "docs" / "page.md")])
    assert (tmp_path / "docs" / "page.md").read_text(encoding="utf-8") == page()
