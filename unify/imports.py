"""Keeps the packages out of Unify's own processes that nothing there needs.

DuckDB's Python API imports pandas, if it is installed, to recognise its values among the parameters of a
statement: 0.3 to 0.5 s of CPU in each process that binds a parameter (DuckDB 1.5.5). Unify binds Python's own
values only. msgspec takes names from typing_extensions, if it is installed, that are in typing, too: 7 ms
of CPU in each process, with the package inspect. Programs that use ``unify.connect`` are not concerned.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as in typing, which takes 2 ms to import
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

# Each package and the modules, by the start of their names, that do without it.
UNNEEDED_PACKAGES = {"pandas": "unify.", "typing_extensions": "msgspec."}

_IMPORT_SYSTEM = ("_frozen_importlib", "importlib.")  # its names before and after `import importlib`


def skip_unneeded_packages() -> None:
    """Hide UNNEEDED_PACKAGES in this process; other Python code that imports them gets them.

    Call it before the first module that imports msgspec.
    """
    if not any(isinstance(finder, _UnneededPackages) for finder in sys.meta_path):
        sys.meta_path.insert(0, _UnneededPackages())


class _UnneededPackages:
    """A finder that hides packages from modules, and from C code that modules of Unify call."""

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name in UNNEEDED_PACKAGES and _importing_module().startswith(UNNEEDED_PACKAGES[name]):
            raise ModuleNotFoundError(f"{name} is not imported here", name=name)
        return None


def _importing_module() -> str:
    """Return the module whose code, or whose call of C code, imports."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_IMPORT_SYSTEM):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", ""))
