"""What users name stays text: in HTML, in attributes, in JSON, in the labels of charts."""

from __future__ import annotations

import json
import re
from collections import Counter
from html import unescape
from html.parser import HTMLParser

import pytest
from payloads import MARK, PAYLOADS, crowd, poison
from sample import small_sample

from slipstream.report import ReportInput, render, write


class Skeleton(HTMLParser):
    """Counts tags with the names of their attributes, and keeps the text of scripts and title."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[tuple[str, ...]] = Counter()
        self.scripts: list[str] = []
        self.title = ""
        self._inside = ""

    def handle_starttag(self, tag, attrs):
        self._inside = tag
        self.tags[(tag, *(name for name, _ in attrs))] += 1

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts.append(data)
        if self._inside == "title":
            self.title += data


def skeleton_of(content: ReportInput) -> Skeleton:
    skeleton = Skeleton()
    # Plotly's own text is neither ours nor changed by what users name.
    skeleton.feed(re.sub(r"<script>/\*\*.*?</script>", "", render(content), flags=re.DOTALL))
    return skeleton


CLEAN = skeleton_of(small_sample())


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_a_payload_in_every_field_adds_no_tag_and_no_attribute(payload):
    content = poison(small_sample(), payload)
    skeleton = skeleton_of(content)
    # More lines in a plan make more of the templates' own spans, nothing else may differ.
    assert set(skeleton.tags) <= set(CLEAN.tags) | {("span", "class")}
    assert {tag for tag, *_ in skeleton.tags} == {tag for tag, *_ in CLEAN.tags}
    assert len(skeleton.scripts) == len(CLEAN.scripts)
    assert skeleton.title.replace("\r", "") == content.title.replace("\r", "")


def test_every_payload_stands_in_the_report_as_text():
    content = crowd(small_sample(), PAYLOADS)
    html = render(content)
    for payload in PAYLOADS:
        escaped = payload.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        escaped = escaped.replace('"', "&#34;").replace("'", "&#39;")
        assert html.count(escaped) > 20


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_chart_values_are_json_without_markup(payload):
    scripts = skeleton_of(poison(small_sample(), payload)).scripts
    [text] = [script for script in scripts if script.startswith("{")]
    assert not re.search("[<>&\u2028\u2029]", text)
    labels = list(strings_in(json.loads(text)))
    assert any(label for label in labels)
    # Plotly would take these for tags, formulas or fields of its templates.
    assert not any(re.search(r"[<>$]|%\{", label) for label in labels)


def strings_in(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from strings_in(one)


def test_the_policy_names_every_script_and_no_source_from_outside():
    html = render(small_sample())
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    directives = {part.split()[0]: part.split()[1:] for part in unescape(policy).split("; ")}
    assert directives["default-src"] == ["'none'"]
    assert len(directives["script-src"]) == html.count("</script>") - 1  # JSON does not run
    assert all(source.startswith("'sha256-") for source in directives["script-src"])
    assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=\"(?!data:,)", html)


def test_text_that_is_no_unicode_can_be_written(tmp_path):
    path = write(ReportInput(task=f"half a pair \ud800 {MARK}"), tmp_path / "new" / "report.html")
    assert "half a pair ? " in path.read_text(encoding="utf-8")
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
