"""One child process that answers in lines, and that is ended with all it started."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, final

TAIL_BYTES = 65_536


@final
class ChildProcess:
    """A process in a session of its own: lines in, lines out, everything else into a log.

    Args:
        command: Program and arguments; no shell reads them.
        variables: Its whole environment.
        log: Where its chatter goes, appended; None keeps it in an unnamed temporary file.

    Example:
        >>> import sys
        >>> echo = "import sys; print(sys.stdin.readline().upper(), end='', flush=True)"
        >>> child = ChildProcess([sys.executable, "-c", echo], dict(os.environ), None)
        >>> child.send("hello\\n")
        True
        >>> child.receive(timeout=10.0)
        'HELLO\\n'
        >>> child.end()
    """

    def __init__(
        self, command: Sequence[str], variables: Mapping[str, str], log: Path | None
    ) -> None:
        self._log = _open_log(log)
        self._ended_here = False
        # A session of its own: Ctrl-C on the terminal reaches the manager alone, and the whole
        # group, with what the user's code may have started, is ended together.
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=dict(variables),
            text=True,
            encoding="utf-8",
            errors="replace",
            bufsize=1,
            start_new_session=True,
        )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return not self._ended_here and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code, minus the signal's number where one ended it, or None."""
        return self._process.poll()

    def send(self, line: str) -> bool:
        """Write one line; returns False when nobody is there to read it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except (OSError, ValueError):
            return False
        return True

    def receive(self, timeout: float | None) -> str | None:
        """Return the next line, or None when there will be no more.

        Raises:
            TimeoutError: Nothing came within `timeout` seconds.
        """
        try:
            return self._lines.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError from None

    def wait(self, timeout: float) -> int | None:
        """Return the exit code once the process has ended, or None after `timeout` seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout)
        return None

    def end(self) -> None:
        """End the process and all that it started; does nothing the second time."""
        if self._ended_here:
            return
        self._ended_here = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(timeout=1.0)
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self._tail = self._read_tail()
        self._log.close()

    def log_tail(self, num_lines: int = 20) -> str:
        """Return the last lines of what the process and its libraries printed."""
        text = self._tail if self._ended_here else self._read_tail()
        return "\n".join([line for line in text.splitlines() if line.strip()][-num_lines:])

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stdout:
                self._lines.put(line)
        self._lines.put(None)

    def _read_tail(self) -> str:
        size = os.fstat(self._log.fileno()).st_size
        tail = os.pread(self._log.fileno(), TAIL_BYTES, max(0, size - TAIL_BYTES))
        return tail.decode("utf-8", errors="replace")


def _open_log(log: Path | None) -> IO[bytes]:
    if log is None:
        return tempfile.TemporaryFile()
    log.parent.mkdir(parents=True, exist_ok=True)
    return log.open("a+b")
