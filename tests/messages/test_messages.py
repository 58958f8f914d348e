"""Each message for users has an identifier of its own, an entry with cause and cure, and a page."""

import ast
import re

import pytest

from slipstream import doctor, errors
from slipstream.errors import InputError, SlipstreamError
from slipstream.messages import all_entries, code_of_signal, get
from slipstream.messages._sentences import PACKAGE, codes_of, in_words, sentences
from slipstream.messages.explain import explain, table
from slipstream.plan import Plan, all_keys

ERRORS = {
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, SlipstreamError)
}
TREES = {path: ast.parse(path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


def calls(names: set[str], trees=TREES):
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if called in names:
                    yield f"{path.name}:{node.lineno}", node


def names_its_identifier(call: ast.Call) -> bool:
    given = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
    # What is raised anew goes by the identifier of what it was.
    return any(isinstance(one, ast.Attribute) and one.attr == "code" for one in given) or (
        bool(codes_of(call)) and set(codes_of(call)) <= all_entries().keys()
    )


def test_every_error_for_users_names_an_identifier_that_there_is():
    nameless = [where for where, call in calls(ERRORS) if not names_its_identifier(call)]
    assert not nameless, "give them code=..., with an entry in src/slipstream/messages"
    assert not names_its_identifier(ast.parse("DataError('a', 'b', 'c')").body[0].value)
    assert not names_its_identifier(
        ast.parse("DataError('a', 'b', 'c', code='SLP-999')").body[0].value
    )


def test_every_warning_names_an_identifier():
    warnings = [
        (where, call)
        for where, call in calls({"Notice"})
        if any(k.arg == "warning" for k in call.keywords) and len(call.args) == 1
    ]
    assert len(warnings) > 5
    assert [where for where, call in warnings if "code" not in {k.arg for k in call.keywords}] == []


def test_every_finding_has_an_entry():
    of_checks = {entry.name: entry.code for entry, _ in doctor.catalogue()}
    found = [str(call.args[0].value) for _, call in calls({"Finding"}) if call.args]
    assert len(found) > 30
    assert set(found) <= of_checks.keys()
    assert all(of_checks[name] in all_entries() for name in found)


def test_every_kind_of_what_a_run_shows_has_an_entry():
    trees = {
        path: tree for path, tree in TREES.items() if path.parent.name in ("signals", "engine")
    }
    kinds = {
        keyword.value.value
        for _, call in calls({"Signal"}, trees)
        for keyword in call.keywords
        if keyword.arg == "kind" and isinstance(keyword.value, ast.Constant)
    }
    for path, tree in trees.items():
        if path.parent.name == "signals":
            kinds |= {
                node.elts[0].value
                for node in ast.walk(tree)
                if isinstance(node, ast.Tuple)
                and len(node.elts) == 3
                and isinstance(node.elts[0], ast.Constant)
                and str(node.elts[0].value).isidentifier()
                and ast.unparse(node.elts[2]) == "advice"
            }
    assert {"overfitting", "dead_units", "out_of_memory", "divergence"} <= kinds
    assert [kind for kind in kinds if not code_of_signal(kind)] == []


def test_each_identifier_is_used():
    text = "\n".join(path.read_text("utf-8") for path in TREES if "messages" not in path.parts)
    used = set(re.findall(r'"(SLP-\d{3})"', text))
    kinds = {entry.code for entry in all_entries().values() if entry.kind}
    # The catalogue itself refuses one.
    assert used | kinds | {"SLP-023"} == all_entries().keys()


def test_entries_say_something_of_their_own():
    entries = all_entries().values()
    for part in ("title", "cause", "cure"):
        assert all(getattr(entry, part).strip() for entry in entries)
    assert len({entry.title for entry in entries}) == len(entries)
    assert [
        entry.code
        for entry in entries
        if not entry.title[-1].isalnum() and entry.title[-1] not in "`)]"
    ] == []
    assert [
        entry.code for entry in entries if entry.cause[-1] not in ".?" or entry.cure[-1] != "."
    ] == []


def test_no_identifier_stands_twice():
    written = [
        code
        for file in (PACKAGE / "messages").glob("*.toml")
        for code in re.findall(r"^\[(.*)\]$", file.read_text("utf-8"), re.MULTILINE)
    ]
    written += [entry.code for entry, _ in doctor.catalogue()]
    assert sorted(written) == sorted(set(written)) == list(all_entries())


def test_keys_of_plans_in_entries_exist():
    sections = "|".join(Plan.model_fields)
    for entry in all_entries().values():
        if entry.code > "SLP-850":
            # Of Keras' own optimizers.
            continue
        text = f"{entry.cause} {entry.cure}"
        for key in re.findall(rf"`((?:{sections})\.\w+)[` ]", text):
            assert key in all_keys(), (entry.code, key)


def test_an_entry_is_found_and_explained():
    assert get("slp-101") == get("[SLP-101]") == get("SLP101") == all_entries()["SLP-101"]
    text = explain("SLP-101")
    assert text.startswith("SLP-101: ") and "says:" in text and "cure:" in text
    assert "Expected a key of a plan, like schedule.peak; got {key}." in " ".join(text.split())
    assert [code for code, _ in table()] == list(all_entries())
    for wrong, nearest in (("SLP-199", "SLP-201"), ("160", "SLP-159"), ("PLS-102", "SLP-102")):
        with pytest.raises(InputError, match=f"Did you mean '{nearest}'"):
            get(wrong)


def test_sentences_are_read_from_the_source():
    made = ast.parse("f'a {x.folder} {1 + n:,} {len(y)}' + ('b' if c else f'{_D}')").body[0].value
    assert in_words(made) == "a {folder} {...} {y}b / {d}"
    assert sentences("SLP-302") == ["Expected training data; got none. Return it under 'train'."]
    assert sentences("SLP-428")[0].startswith("Expected examples in ")
