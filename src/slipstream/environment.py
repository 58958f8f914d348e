"""Environment of this process: what must be equal for two runs to be compared."""

from __future__ import annotations

import functools
import os
import platform
import sys
from importlib import metadata
from pathlib import Path

import psutil

from slipstream.record import Environment

# A framework's distribution has several names; the first that is installed counts.
DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "slipstream": ("slipstream",),
    "keras": ("keras", "keras-nightly"),
    "numpy": ("numpy",),
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-macos", "tf-nightly"),
    "jax": ("jax",),
    "jaxlib": ("jaxlib",),
    "torch": ("torch",),
}


@functools.cache
def environment() -> Environment:
    """Return this machine and the versions of what computes on it; imports none of them.

    Returns:
        Environment: `machine` holds the processor's name, logical cores that this process may
        use, memory in bytes and the platform; `versions` those distributions that are installed.

    Example:
        >>> environment().machine["logical_cores"] >= 1
        True
        >>> "numpy" in environment().versions
        True
    """
    machine: dict[str, str | int] = {
        "processor": _processor(),
        "logical_cores": _logical_cores(),
        "memory_bytes": int(psutil.virtual_memory().total),
        "platform": platform.platform(),
    }
    found = {name: _version(names) for name, names in DISTRIBUTIONS.items()}
    versions = {"python": platform.python_version()}
    versions.update({name: version for name, version in found.items() if version is not None})
    return Environment(machine=machine, versions=versions)


def _version(names: tuple[str, ...]) -> str | None:
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _logical_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def peak_memory_bytes() -> int:
    """Return the most resident memory this process has held so far, in bytes.

    Example:
        >>> peak_memory_bytes() > 1_000_000
        True
    """
    status = Path("/proc/self/status")
    if status.exists():
        # ru_maxrss would begin with what the parent process held when it started this one.
        for line in status.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
