"""Pages that are made of the code are the generated ones."""

from pathlib import Path

import pytest

from slipstream.pages import PAGES, main

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_in_the_documentation_is_the_generated_one(name):
    is_same = (DOCS / name).read_text(encoding="utf-8") == PAGES[name]()
    assert is_same, "run: python -m slipstream.pages"


def test_pages_are_written_where_they_are_asked_for(tmp_path):
    main([str(tmp_path / "docs")])
    for name, page in PAGES.items():
        assert (tmp_path / "docs" / name).read_text(encoding="utf-8") == page()
