"""Paths as users write them: ``~`` and relative paths resolved, with an error where that is impossible."""

from __future__ import annotations

from pathlib import Path

from unify.errors import FileError


def expand_home(path: str | Path) -> Path:
    """Replace a leading ``~``. Raises FileError if the user has no home folder, as in some containers."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise FileError(f"{path}: the home folder of this user is unknown; set HOME") from error


def absolute_path(path: str | Path) -> Path:
    """Expand ``~`` and make the path absolute. Raises FileError, also if the current folder was deleted."""
    expanded = expand_home(path)
    try:
        return expanded.absolute()
    except OSError as error:
        raise FileError(f"{path}: the current folder no longer exists") from error
