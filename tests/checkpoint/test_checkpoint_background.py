"""Saving beside the training: nothing handed over is lost, no error is swallowed."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from slipstream.checkpoint import BackgroundWriter, CheckpointStore, RunLock, Saved
from slipstream.errors import StorageError
from torture.content import same, snapshot_at

# Ends without waiting for anything.
HASTY = """
import sys
from pathlib import Path
import numpy as np
from slipstream.checkpoint import BackgroundWriter, CheckpointStore, RunLock, Snapshot
folder = Path(sys.argv[1])
lock = RunLock(folder).acquire()
writer = BackgroundWriter(CheckpointStore(folder, lock=lock))
writer.save(Snapshot({"w": np.ones(3_000_000)}, update=5))
"""


class SlowStore:
    """Saves when it is told to, or fails."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.saved: list[int] = []
        self.fails = False

    def save(self, snapshot, *, best=False):
        self.go.wait(30)
        if self.fails:
            raise StorageError("room", "none", "Make some.")
        self.saved.append(snapshot.update)
        return Saved(Path(), snapshot.update, 1, 0.0)


def test_what_is_handed_over_is_saved_in_order(tmp_path):
    with RunLock(tmp_path) as lock:
        store = CheckpointStore(tmp_path, lock=lock)
        with BackgroundWriter(store) as writer:
            for update in (1, 2, 3):
                writer.save(snapshot_at(update), best=update == 1)
    assert [saved.update for saved in writer.saved] == [1, 2, 3]
    assert same(store.latest().snapshot, snapshot_at(3))
    assert same(store.best().snapshot, snapshot_at(1))


def test_the_caller_goes_on_and_the_next_save_waits():
    store = SlowStore()
    with BackgroundWriter(store) as writer:
        writer.save(snapshot_at(1))
        assert writer.is_busy
        assert store.saved == []
        assert writer.waited_seconds == 0.0
        threading.Timer(0.05, store.go.set).start()
        writer.save(snapshot_at(2))
        assert store.saved[0] == 1
        assert writer.waited_seconds > 0.0
    assert store.saved == [1, 2]
    assert not writer.is_busy


def test_an_error_is_raised_by_the_next_call_and_only_once():
    store = SlowStore()
    store.go.set()
    store.fails = True
    writer = BackgroundWriter(store)
    writer.save(snapshot_at(1))
    with pytest.raises(StorageError):
        writer.save(snapshot_at(2))
    store.fails = False
    writer.save(snapshot_at(3))
    writer.close()
    assert store.saved == [3]


def test_an_error_of_the_last_save_is_raised_at_the_end_and_hides_no_other():
    store = SlowStore()
    store.go.set()
    store.fails = True
    with pytest.raises(StorageError), BackgroundWriter(store) as writer:
        writer.save(snapshot_at(1))
    with pytest.raises(KeyboardInterrupt) as caught, BackgroundWriter(store) as writer:
        writer.save(snapshot_at(1))
        raise KeyboardInterrupt
    assert "The last checkpoint was not saved: Expected room" in caught.value.__notes__[0]


def test_a_program_does_not_end_before_the_last_save(tmp_path):
    subprocess.run([sys.executable, "-c", HASTY, str(tmp_path)], check=True, timeout=60)
    found = CheckpointStore(tmp_path).latest()
    assert found.snapshot.update == 5
    assert found.snapshot.arrays["w"].sum() == 3_000_000
