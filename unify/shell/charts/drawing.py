"""What the ways of drawing take and give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Room:
    """Columns and lines there are for a drawing; ``endless``: more lines do no harm."""

    width: int
    height: int
    endless: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    """Lines of text; ``remarks`` say what of the chart is not in them."""

    lines: Sequence[str]
    remarks: Sequence[str] = ()
