"""One writer of a run folder at a time."""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Annotated, Self

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from slipstream.checkpoint._disk import make_folder, open_file
from slipstream.errors import InputError
from slipstream.files import write_text

LOCK_FILE = "run.lock"
HOLDER_FILE = "run.holder.json"
_MAX_HOLDER_BYTES = 4096
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK})


class Holder(BaseModel):
    """Who holds a run folder, for the message to who does not get it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    process: Annotated[int, Field(ge=0, lt=2**63)]
    host: Annotated[str, Field(max_length=255, pattern=r"^[\w.\-]*$")]
    since: Annotated[str, Field(max_length=40, pattern=r"^[0-9T:+.Z-]*$")]

    def __str__(self) -> str:
        here = self.host == socket.gethostname()
        who = f"process {self.process} on {'this machine' if here else self.host}"
        if here and self.process == os.getpid():
            who = "this very process"
        return f"{who}, since {self.since}"


class RunLock:
    """The right to write into a run folder, which one process has at a time.

    It is the operating system's lock on a file, which it lets go when the process ends, however
    it ends; the file stays, and means nothing. A process that is forked off does not have it.
    Network file systems: on NFS the lock holds between machines, on others it may hold on one
    machine alone, or not be had.

    Args:
        folder: The run folder.

    Example:
        >>> import tempfile
        >>> with RunLock(Path(tempfile.mkdtemp())) as lock:
        ...     lock.is_held
        True
        >>> lock.is_held
        False
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Any thread may release it. A lock that would have to be broken by its age is no lock.
        self._lock = FileLock(
            folder / LOCK_FILE, timeout=0, thread_local=False, fallback_to_soft=False
        )

    @property
    def is_held(self) -> bool:
        """Whether this object holds the folder."""
        return bool(self._lock.is_locked)

    def acquire(self) -> Self:
        """Take the folder, which is made when missing.

        Returns:
            This lock. Nothing happens if it is held already.

        Raises:
            InputError: Another process holds it (the message says which, on which machine, since
                when), or the folder cannot be written to or locked.
        """
        if self.is_held:
            return self
        try:
            make_folder(self.folder)
            self._lock.acquire()
        except Timeout:
            raise self._refused() from None
        except OSError as error:
            raise self._unwritable(error) from None
        # The lock is what counts; a full disk has room for it, if not for this.
        with contextlib.suppress(OSError):
            write_text(self.folder / HOLDER_FILE, _me().model_dump_json())
        return self

    def release(self) -> None:
        """Let others have the folder; nothing happens if it is not held."""
        if self.is_held:
            with contextlib.suppress(OSError):
                (self.folder / HOLDER_FILE).unlink()
            self._lock.release()

    def __enter__(self) -> Self:
        """Take the folder, unless it is held already."""
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let others have the folder."""
        self.release()

    def _refused(self) -> InputError:
        holder = self._holder()
        return InputError(
            f"a run folder that nobody else writes to at {self.folder}",
            f"one that is held by {holder or 'another process'}",
            "Wait until that run is done, stop it, or name another folder with --out.",
            code="SLP-607",
        )

    def _unwritable(self, error: OSError) -> InputError:
        if error.errno in _NO_LOCKS:
            return InputError(
                f"a file system that can lock files at {self.folder}",
                f"one that cannot ({error.strerror})",
                "Name a folder on a disk of this machine with --out.",
                code="SLP-608",
            )
        return InputError(
            f"a run folder that can be written to at {self.folder}",
            f"one that cannot ({error.strerror or error})",
            "Make it writable, or name another folder with --out.",
            code="SLP-603",
        )

    def _holder(self) -> Holder | None:
        try:
            with open_file(self.folder / HOLDER_FILE) as (file, _):
                return Holder.model_validate_json(file.read(_MAX_HOLDER_BYTES))
        except (OSError, ValueError, ValidationError):
            return None


def _me() -> Holder:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Holder.model_construct(process=os.getpid(), host=socket.gethostname(), since=now)
