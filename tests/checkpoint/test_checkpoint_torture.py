"""A few of each of what `make torture` does by the thousand."""

from __future__ import annotations

import pytest

from torture.damage import damage
from torture.faults import fail_everywhere
from torture.forgery import forge
from torture.killing import kill
from torture.racing import race
from torture.small_disk import close, fill


def test_each_damage_is_found_and_said(tmp_path):
    outcome = damage(200, tmp_path)
    assert outcome.failures == []
    assert all(outcome.counts[name] > 20 for name in ("arrays.bin", "values.json", "manifest.json"))


def test_what_is_made_up_is_refused_or_harmless(tmp_path):
    outcome = forge(200, tmp_path)
    assert outcome.failures == []
    assert outcome.counts["refused"] > outcome.counts["read"] > 2


def test_each_call_may_fail_or_be_the_last(tmp_path):
    outcome = fail_everywhere(tmp_path, ways=("error", "power cut"))
    assert outcome.failures == []
    assert all(outcome.counts[name] > 10 for name in ("refused", "died"))


def test_the_disk_that_loses_power_tells_when_nothing_is_synced(tmp_path):
    outcome = fail_everywhere(tmp_path, ways=("power cut",), hears_syncs=False, every=3)
    assert outcome.failures


def test_a_killed_writer_leaves_what_it_committed(tmp_path):
    outcome = kill(6, tmp_path)
    assert outcome.failures == []
    assert outcome.counts["while a checkpoint was written"] > 0


def test_of_two_processes_exactly_one_gets_the_folder(tmp_path):
    assert race(10, tmp_path).failures == []


@pytest.mark.parametrize("part", [lambda folder: fill(12, folder), close])
def test_a_small_disk_is_told_in_a_line(tmp_path, part):
    outcome = part(tmp_path / "disk")
    if outcome.skipped:
        pytest.skip(outcome.skipped)
    assert outcome.failures == []
    assert outcome.what != "a disk filled" or min(outcome.counts.values()) > 2
