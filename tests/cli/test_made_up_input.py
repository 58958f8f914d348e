"""Two hundred of the plans and command lines that `make torture` makes up by the ten thousand."""

from pathlib import Path

from torture.told import tell


def test_whatever_is_wrong_is_told_in_one_message(tmp_path: Path) -> None:
    outcome = tell(200, tmp_path, seed=7)
    assert outcome.failures == []
    assert outcome.tries == 200
    assert outcome.counts["refused"] > 150 and outcome.counts["fine"] > 3
