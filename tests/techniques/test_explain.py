"""Techniques in words, and the page of the documentation that is made of them."""

import re
from functools import cache

import pytest

from slipstream.plan.uses import USES
from slipstream.techniques import all_techniques, case_recipes, get, recipes
from slipstream.techniques._effects import stored_effect
from slipstream.techniques.explain import (
    explain,
    explain_named,
    explain_recipe,
    recipes_table,
    table,
    techniques_page,
)


def test_the_page_names_every_technique_and_recipe_once():
    lines = techniques_page().splitlines()
    for technique in all_techniques():
        assert lines.count(f"### {technique.name}") == 1
    for recipe in recipes():
        assert sum(line.startswith(f"- **{recipe.name}**") for line in lines) == 1
    for recipe in case_recipes():
        assert lines.count(f"### {recipe.name}") == 1


def test_the_table_has_every_technique_with_its_summary():
    assert sorted(table()) == [(t.name, t.summary) for t in all_techniques()]


@pytest.mark.parametrize("technique", all_techniques(), ids=lambda t: t.name)
def test_an_explanation_says_all_there_is_within_88_characters(technique):
    text = explain(technique)
    assert max(len(line) for line in text.splitlines()) <= 88
    words = " ".join(text.split())
    assert technique.cost.endswith(".")
    for said in (technique.title, technique.summary, technique.helps, technique.hurts):
        assert said in words
    assert technique.cost in words
    for said in (technique.reference, technique.formula, *technique.keys):
        assert " ".join(said.split()) in words


_page = cache(techniques_page)
SAID_OF_ALL = ("Helps", "Hurts", "Cost", "Plan keys", "Default", "Not with", "Range", "Measured")


@pytest.mark.parametrize("technique", all_techniques(), ids=lambda t: t.name)
def test_no_page_leaves_anything_open(technique):
    # Where there is no formula, no range, or no technique that it clashes with, words say so.
    text = explain(technique)
    for label in ("Formula", *SAID_OF_ALL, "Reference"):
        assert len(re.findall(rf"^{label}: +\S", text, re.MULTILINE)) == 1, label
    _, _, section = _page().partition(f"\n### {technique.name}\n")
    section, _, _ = section.partition("\n#")
    assert ("\n```text\n" in section) != ("\n- Formula: none: " in section)
    for label in (*SAID_OF_ALL, "Reference"):
        assert len(re.findall(rf"^- {label}: \S", section, re.MULTILINE)) == 1, label


@pytest.mark.parametrize("technique", all_techniques(), ids=lambda t: t.name)
def test_beside_what_its_keys_count_stands_on_a_page(technique):
    counts = re.search(r"^Counts with: (.*?)\n\n", explain(technique), re.MULTILINE | re.DOTALL)
    said = " ".join(counts[1].split()) if counts else ""
    for use in USES:
        named = any(f"{use.key}{mark} " in said for mark in ":,")
        assert (use.key in technique.keys) == named
        assert use.when in said or not named


def test_who_cannot_stand_together_is_said_on_both_sides():
    assert "Not with:     one_cycle\n" in explain(get("warmup"))
    assert "Not with:     schedule_free_adamw, warmup\n" in explain(get("one_cycle"))


def test_recipes_are_listed_and_explained():
    names = [name for name, _ in recipes_table()]
    assert names == [recipe.name for recipe in (*case_recipes(), *recipes())]
    for recipe in (*case_recipes(), *recipes()):
        words = " ".join(explain_named(recipe.name).split())
        assert explain_named(recipe.name) == explain_recipe(recipe)
        assert recipe.summary in words
        for said in (*recipe.techniques, *recipe.settings, *recipe.optional):
            assert said in words


def test_what_is_set_and_what_was_the_default_stand_on_the_page():
    text = explain(get("batch_size"))
    assert "Default:      batch.size = 32\n" in text
    assert "It sets:      batch.size = 128\n" in text


@pytest.mark.parametrize("technique", all_techniques(), ids=lambda t: t.name)
def test_a_stored_effect_is_the_techniques_own_and_is_told(technique):
    effect = stored_effect("technique", technique.name)
    if effect is None:
        assert "Measured:     not yet." in explain(technique)
        return
    assert (effect.kind, effect.name) == ("technique", technique.name)
    words = " ".join(explain(technique).split())
    for sentence in effect.sentences():
        assert " ".join(sentence.split()) in words
    if effect.task:
        assert effect.changes
        # What is stored was measured with the technique as it is: it owns what was changed.
        assert set(effect.changes) & set(technique.moved)
