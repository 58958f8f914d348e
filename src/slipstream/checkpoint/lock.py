"""One writer of a run folder at a time."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self


class RunLock:
    """The right to write into a run folder, which one process has at a time.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def is_held(self) -> bool:
        """Whether this object holds the folder."""
        raise NotImplementedError

    def acquire(self) -> Self:
        """Take the folder, which is made when missing.

        Returns:
            This lock: `with RunLock(folder).acquire():` or `with RunLock(folder):`.

        Raises:
            InputError: Another process holds it (the message says which, on which machine, since
                when), or the folder cannot be written to or locked.
        """
        raise NotImplementedError

    def release(self) -> None:
        """Let others have the folder; nothing happens if it is not held."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Take the folder, unless it is held already."""
        return self if self.is_held else self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let others have the folder."""
        self.release()
