"""What a disk's refusal means for the person whose training it stops."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from slipstream.errors import StorageError

_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG})
_CLOSED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


@contextlib.contextmanager
def told_as_storage_error(root: Path, num_bytes: int, kept: str) -> Iterator[None]:
    """Raise a StorageError in the place of an OSError.

    Args:
        root: The folder that is written to.
        num_bytes: What was to be written.
        kept: A sentence that says what there is to go on with.
    """
    try:
        yield
    except OSError as error:
        raise _storage_error(error, root, num_bytes, kept) from error


def _storage_error(error: OSError, root: Path, num_bytes: int, kept: str) -> StorageError:
    expected = f"to write a checkpoint of {megabytes(num_bytes)} to {root}"
    if error.errno in _FULL:
        came = f"a {_kind(error)} ({error.strerror}{_left(root)})"
        mend = "Make room"
    elif error.errno in _CLOSED:
        came = f"a folder that cannot be written to ({error.strerror})"
        mend = "Make it writable"
    else:
        came = f"an error of the disk or its connection ({error.strerror or error})"
        mend = "Mend the disk, or copy the run folder to another one"
    return StorageError(expected, came, f"{mend}, then go on with --resume. {kept}", code="SLP-611")


def _kind(error: OSError) -> str:
    return {errno.ENOSPC: "full disk", errno.EFBIG: "limit on the size of files"}.get(
        error.errno or 0, "quota that is used up"
    )


def _left(root: Path) -> str:
    for folder in (root, *root.parents):
        with contextlib.suppress(OSError):
            return f"; {megabytes(shutil.disk_usage(folder).free)} are left"
    return ""


def megabytes(num_bytes: int) -> str:
    """Return a size in words.

    Example:
        >>> megabytes(104_200_000), megabytes(950)
        ('104.2 MB', '950 bytes')
    """
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 100_000 else f"{num_bytes} bytes"
