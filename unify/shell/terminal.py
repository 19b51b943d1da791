"""What the terminal on the other side can do, and how large it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TextIO


def is_smart(environment: Mapping[str, str]) -> bool:
    """Whether lines on it can be drawn anew and text have looks."""
    return environment.get("TERM") != "dumb"


def takes_colours(environment: Mapping[str, str]) -> bool:
    """Whether colours are welcome: NO_COLOR says no."""
    return not environment.get("NO_COLOR") and is_smart(environment)


def is_attended() -> bool:
    """Whether somebody can be asked; stdout may go elsewhere."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def size(stream: TextIO) -> tuple[int, int]:
    """Columns and lines, asked anew each time: people resize it. 80 and 24 where there is no terminal."""
    try:
        found = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return 80, 24
    return found.columns or 80, found.lines or 24
