"""Paths as users write them: ``~`` and relative paths resolved, with an error where that is impossible."""

from __future__ import annotations

import os
from pathlib import Path

from unify.errors import FileError
from unify.text import excerpt

MAX_NAME_BYTES = 255  # of one name in a path, on all usual file systems


def expand_home(path: str | Path) -> Path:
    """Replace a leading ``~``.

    Raises FileError if the user has no home folder, as in some containers, and for names no file can have.
    """
    for name in Path(path).parts:
        if len(os.fsencode(name)) > MAX_NAME_BYTES or "\0" in name:
            reason = "has a NUL character" if "\0" in name else f"has more than {MAX_NAME_BYTES} bytes"
            raise FileError(f"{excerpt(str(path), 80)}: a name in this path {reason}")
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
