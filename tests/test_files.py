"""Files: whole or not at all, whoever else writes them."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from slipstream.files import put_in_place, sweep, whole_lines, write_bytes, write_text


def test_many_can_write_one_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    contents = [bytes([65 + number]) * 5000 for number in range(4)]
    errors: list[BaseException] = []

    def write(content: bytes) -> None:
        try:
            for _ in range(20):
                write_bytes(path, content)
                assert path.read_bytes() in contents
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [file.name for file in tmp_path.iterdir()] == ["plan.toml"]


def test_a_file_is_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    written = write_text(tmp_path / "mine", "text")
    assert written.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_file_and_folder_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fsync

    def sync(descriptor: int) -> None:
        synced.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    write_text(tmp_path / "file", "text")
    assert synced == ["file", "folder"]
    (tmp_path / "beside").write_text("new")
    put_in_place(tmp_path / "beside", tmp_path / "file")
    assert synced == ["file", "folder"] * 2
    assert [path.read_text() for path in tmp_path.iterdir()] == ["new"]


def test_a_file_system_that_syncs_no_folders_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", sync)
    code = errno.EINVAL
    assert write_text(tmp_path / "file", "text").read_text() == "text"
    code = errno.EIO
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        write_text(tmp_path / "file", "text")


def test_half_a_last_line_is_taken_away_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    whole_lines(path)
    for text, kept in (("a\nb\n", "a\nb\n"), ("a\nb", "a\n"), ("ab", ""), ("", "")):
        path.write_text(text)
        whole_lines(path)
        assert path.read_text() == kept


def test_what_a_killed_process_was_writing_is_swept(tmp_path: Path) -> None:
    write_text(tmp_path / "runs" / "record.json", "{}")
    (tmp_path / "runs" / f"record.json.{'0' * 32}.part").touch()
    (tmp_path / "mine.part").touch()
    sweep(tmp_path)
    left = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["mine.part", "record.json"]
