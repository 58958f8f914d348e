"""Stored effects: written, read back, and told in the verdict's own words."""

import math

import pytest
from pydantic import ValidationError

from slipstream.techniques._effects import (
    Comparison,
    Effect,
    file_of,
    store_effect,
    stored_effect,
)
from slipstream.verdict import Pair, Rules, judge

RULES = Rules(monitor="val_accuracy", mode="max", target=0.97)


def verdict(baseline, candidate, test=(0.9, 0.9)):
    return judge(
        [
            Pair(
                seed=seed,
                baseline_seconds=b,
                candidate_seconds=c,
                baseline_clock_seconds=20.0,
                candidate_clock_seconds=20.0,
                baseline_test=test[0] + 0.001 * seed,
                candidate_test=test[1] + 0.001 * seed,
            )
            for seed, (b, c) in enumerate(zip(baseline, candidate, strict=True))
        ],
        RULES,
    )


FASTER = verdict((9.0, 10.0, 9.5), (3.0, 3.2, 3.1))
EQUAL = verdict((9.0, 10.0, 9.5), (9.1, 9.9, 9.6))
WORSE = verdict((9.0, 10.0, 9.5), (9.1, 9.9, 9.6), test=(0.9, 0.8))
NEVER = verdict((math.inf, math.inf, 9.5), (3.0, math.inf, 3.1))


def effect(kind="technique", name="warmup", **values):
    against = Comparison(against="the same without it", verdict=values.pop("verdict", FASTER))
    return Effect(
        kind=kind,
        name=name,
        task="digits",
        ground="Adam",
        changes={"schedule.warmup": 0.05},
        comparisons=values.pop("comparisons", (against,)),
    )


@pytest.mark.parametrize("one", [FASTER, EQUAL, NEVER])
def test_an_effect_reads_back_as_it_was_stored(tmp_path, one):
    stored = effect(verdict=one)
    path = store_effect(stored, tmp_path / "new")
    assert path == file_of("technique", "warmup", tmp_path / "new")
    assert stored_effect("technique", "warmup", tmp_path / "new") == stored
    assert stored_effect("recipe", "warmup", tmp_path / "new") is None


@pytest.mark.parametrize(
    ("one", "nothing"), [(FASTER, False), (EQUAL, True), (WORSE, False), (NEVER, True)]
)
def test_no_effect_is_said_where_neither_time_nor_quality_is_told_apart(one, nothing):
    (sentence,) = effect(verdict=one).sentences()
    assert sentence.startswith("on digits, put onto Adam: ")
    assert ("no effect measured: " in sentence) == nothing
    assert sentence.endswith(one.sentence())


def test_a_recipe_says_against_what():
    sides = ("the task as given", "tuned SGD")
    two = tuple(Comparison(against=side, verdict=FASTER) for side in sides)
    said = effect(kind="recipe", comparisons=two).sentences()
    assert all(f"against {a}: 3.1x faster" in b for a, b in zip(sides, said, strict=True))


def test_what_could_not_be_measured_says_why():
    one = Comparison(against="", failure="there is one output")
    nowhere = Effect(kind="technique", name="a", task="", ground="", comparisons=(one,))
    assert nowhere.sentences() == ["not measured: there is one output"]


def test_a_file_of_another_schema_is_no_effect(tmp_path):
    path = store_effect(effect(), tmp_path)
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(ValidationError):
        stored_effect("technique", "warmup", tmp_path)
