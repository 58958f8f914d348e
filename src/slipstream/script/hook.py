"""Doing something as soon as a module has been imported, by whomever and whenever."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import final


@final
class WhenImported(MetaPathFinder):
    """Calls a function before a module is executed, and another one after.

    Args:
        name: The module's name.
        before: Called before each time the module is executed.
        after: Called with the module, and the seconds that it took, after each time.

    Example:
        >>> hook = WhenImported("colorsys", lambda: print("now"), lambda module, seconds: None)
        >>> _ = sys.modules.pop("colorsys", None)
        >>> with hook:
        ...     import colorsys
        now
    """

    def __init__(
        self, name: str, before: Callable[[], None], after: Callable[[ModuleType, float], None]
    ) -> None:
        self._name = name
        self._before = before
        self._after = after

    def __enter__(self) -> WhenImported:
        sys.meta_path.insert(0, self)
        return self

    def __exit__(self, *error: object) -> None:
        sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what the other finders find, with the calls around its execution."""
        if fullname != self._name:
            return None
        spec = self._found_by_others(fullname, path, target)
        if spec is not None and spec.loader is not None:
            self._surround(spec.loader)
        return spec

    def _found_by_others(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(fullname, path, target) if finder is not self and find else None
            if spec is not None:
                return spec  # type: ignore[no-any-return]
        return None

    def _surround(self, loader: Loader) -> None:
        plain = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            # The module keeps its loader: whoever asks it for resources meets no stranger.
            vars(loader).pop("exec_module", None)
            self._before()
            start = time.perf_counter()
            plain(module)
            self._after(module, time.perf_counter() - start)

        vars(loader)["exec_module"] = exec_module
