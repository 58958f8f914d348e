"""Plans as TOML: what is written is read back the same, and mistakes are told with their line."""

import tomllib

import pytest
from hypothesis import given, settings

from slipstream.errors import PlanError
from slipstream.plan import Plan, from_toml, read_plan, to_toml, write_plan
from slipstream.plan.lines import line_of
from strategies import plans


@given(plans())
@settings(max_examples=150, deadline=None)
def test_the_round_trip_is_the_identity(plan):
    text = to_toml(plan)
    assert from_toml(text) == plan
    assert to_toml(from_toml(text)) == text
    assert tomllib.loads(text) == plan.to_dict()


def test_every_section_and_key_has_a_comment():
    lines = to_toml(Plan()).splitlines()
    for name in Plan.model_fields:
        at = lines.index(f"[{name}]")
        assert lines[at - 1].startswith("# ")
        assert len(lines[at - 1]) > 10
    for line in lines:
        if " = " in line and not line.startswith("#"):
            assert "  # " in line


def test_a_short_plan_leaves_the_rest_to_the_defaults():
    assert from_toml("[schedule]\npeak = 0.003\n") == Plan().edit({"schedule.peak": 3e-3})
    assert from_toml("") == Plan()


def test_keys_may_be_written_with_dots():
    assert from_toml("schedule.peak = 0.003\n") == Plan().edit({"schedule.peak": 3e-3})


@pytest.mark.parametrize(
    ("text", "key", "line", "nearest"),
    [
        ("[schedule]\n\npeek = 0.1\n", "schedule.peek", 3, "schedule.peak"),
        ("# mine\n[optimzer]\nname = 'sgd'\n", "optimzer", 2, "optimizer"),
        ("[batch]\nsize = 64\nacumulation = 2\n", "batch.acumulation", 3, "batch.accumulation"),
        ("schedule.warm_up = 0.1\n", "schedule.warm_up", 1, "schedule.warmup"),
        ("epochs = 3\n", "epochs", 1, "duration.epochs"),
        ("[optimizer]\nlearning_rate = 0.1\n", "optimizer.learning_rate", 2, "schedule.peak"),
        ("[lr_scheduler]\nname = 'cosine'\n", "lr_scheduler", 1, "schedule"),
    ],
)
def test_misspelt_keys_are_refused_with_key_line_and_nearest_key(text, key, line, nearest):
    with pytest.raises(PlanError) as caught:
        from_toml(text, "my.toml")
    message = str(caught.value)
    assert f"'{key}'" in message
    assert f"in my.toml, line {line}" in message
    assert f"Did you mean '{nearest}'?" in message


def test_every_mistake_is_told_with_its_line():
    text = "lr = 0.1\nschedule = 3\n[batch]\nsize = 0\n\nacumulation = 2\n"
    with pytest.raises(PlanError) as caught:
        from_toml(text, "my.toml")
    lines = sorted(str(caught.value).splitlines())
    assert len(lines) == 5 and "  3 more problems were found:" in lines
    told = str(caught.value)
    for line, says in ((1, "'schedule.peak'"), (2, "[schedule]"), (4, "batch.size"),
                       (6, "'batch.accumulation'")):  # fmt: skip
        (said,) = [one for one in lines if f"in my.toml, line {line}." in one]
        assert says in said, told


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("[batch]\nsize = 0\n", "batch.size", 2),
        ("[batch]\nsize = true\n", "batch.size", 2),
        ("[schedule]\nname = 'cosin'\n", "schedule.name", 2),
        ("[regularization]\nl2 = 0.0\n\ndropout = 'off'\n", "regularization.dropout", 4),
    ],
)
def test_wrong_values_are_refused_with_key_and_line(text, key, line):
    with pytest.raises(PlanError) as caught:
        from_toml(text)
    assert f"'{key}'" in str(caught.value)
    assert f"line {line}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[schedule\npeak = 1\n", "line 1"),
        ("schedule = 3\n", "[schedule]"),
        ("[schedule]\nname = 'one_cycle'\n", "schedule.warmup"),
        ("[schedule]\npeak = 1\npeak = 2\n", "line 3"),
    ],
)
def test_what_is_no_plan_at_all_is_refused(text, says):
    with pytest.raises(PlanError) as caught:
        from_toml(text)
    assert says in str(caught.value)


def test_files_are_written_whole_and_read_back(tmp_path):
    path = tmp_path / "plan.toml"
    write_plan(Plan(), path)
    write_plan(Plan().edit({"batch.size": 8}), path)
    assert read_plan(path).batch.size == 8
    assert [file.name for file in tmp_path.iterdir()] == ["plan.toml"]


def test_missing_and_unreadable_files_are_told(tmp_path):
    with pytest.raises(PlanError, match=r"no\.toml"):
        read_plan(tmp_path / "no.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PlanError, match=r"binary\.toml"):
        read_plan(tmp_path / "binary.toml")
    (tmp_path / "latin.toml").write_bytes(b"# a\n[batch]\nsize = 3 # gr\xf6\xdfe\n")
    with pytest.raises(PlanError, match=r"no UTF-8, line 3"):
        read_plan(tmp_path / "latin.toml")


def test_a_mark_of_utf_8_and_any_ends_of_lines_are_read(tmp_path):
    (tmp_path / "plan.toml").write_bytes(b"\xef\xbb\xbf[batch]\r\nsize = 3\r\n")
    assert read_plan(tmp_path / "plan.toml").batch.size == 3


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a.x = 1\n[b]\nc = 2", {"a": 1, "a.x": 1, "b": 2, "b.c": 3, "c": None, "b.x": None}),
        ("[a.x]\ny = 1", {"a.x": 1, "a": 1}),
        ("\n'a' . \"x\" = 1", {"a.x": 2}),
        ('["a"]\n"\\u0078" = 1', {"a.x": 2}),
        ("a = {x = 1,\ny = 2}", {"a.y": 1}),
        ("# \u2028 a = 1\n[ a ] # x = 1\n x=1", {"a": 2, "a.x": 3}),
        ("[[a]]\nx = 1", {"a": 1, "a.x": 2}),
    ],
)
def test_the_line_of_a_key_is_found_however_it_is_written(text, line):
    assert {key: line_of(text, key.split(".")) for key in line} == line
