"""A run folder has one writer; whoever is refused is told who that is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from slipstream.checkpoint import RunLock
from slipstream.errors import InputError

# Takes a folder, forks, and waits: what has the lock then, and what has not.
HOLDER = """
import os, sys, time
from pathlib import Path
from slipstream.checkpoint import RunLock
lock = RunLock(Path(sys.argv[1])).acquire()
if os.fork() == 0:
    # Told by the child: until it runs it still has what its parent has.
    print(os.getpid(), flush=True)
    time.sleep(60)
    os._exit(0)
time.sleep(60)
"""


def test_a_second_one_is_told_who_holds_it_and_gets_it_when_the_holder_is_killed(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        child = int(holder.stdout.readline())
        try:
            with pytest.raises(InputError) as caught:
                RunLock(tmp_path).acquire()
            told = str(caught.value)
            assert f"is held by process {holder.pid} on this machine, since 20" in told
            assert "\n" not in told
            holder.kill()
            holder.wait()
            # Its child lives on, and must not hold what it was handed.
            os.kill(child, 0)
            with RunLock(tmp_path) as lock:
                assert lock.is_held
        finally:
            holder.kill()
            os.kill(child, signal.SIGKILL)


def test_a_second_one_in_this_process_is_refused_until_the_first_lets_go(tmp_path):
    first, second = RunLock(tmp_path / "run"), RunLock(tmp_path / "run")
    assert not first.is_held
    with first:
        assert first.acquire() is first
        with pytest.raises(InputError, match="this very process"):
            second.acquire()
        assert not second.is_held
    assert not first.is_held
    with second:
        assert second.is_held
    second.release()


@pytest.mark.parametrize("content", ["", "{", '{"process": -1}', "[" * 5000, '{"host": "\\u001b"}'])
def test_what_stands_in_the_holders_file_is_not_believed(tmp_path, content):
    with RunLock(tmp_path):
        (tmp_path / "run.holder.json").write_text(content)
        with pytest.raises(InputError, match="held by another process"):
            RunLock(tmp_path).acquire()


def test_a_folder_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a run folder that can be written to"):
        RunLock(tmp_path / "file" / "run").acquire()


def test_a_link_in_the_place_of_the_lock_leads_nowhere(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("kept")
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.lock").symlink_to(victim)
    with pytest.raises(InputError, match="a run folder that can be written to"):
        RunLock(run).acquire()
    assert victim.read_text() == "kept"
    assert Path(run / "run.lock").is_symlink()
