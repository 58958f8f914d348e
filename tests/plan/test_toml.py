"""Plans as TOML: what is written is read back the same, and mistakes are told with their line."""

import tomllib

import pytest
from hypothesis import given, settings

from slipstream.errors import PlanError
from slipstream.plan import Plan, from_toml, read_plan, to_toml, write_plan
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
    ],
)
def test_misspelt_keys_are_refused_with_key_line_and_nearest_key(text, key, line, nearest):
    with pytest.raises(PlanError) as caught:
        from_toml(text, "my.toml")
    message = str(caught.value)
    assert f"'{key}'" in message
    assert f"in my.toml, line {line}" in message
    assert f"Did you mean '{nearest}'?" in message


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
