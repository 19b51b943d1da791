"""How results are to look: what somebody asked for, and what they look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

Format = Literal["box", "table", "csv", "json", "jsonl", "markdown", "html", "vertical"]
FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True, slots=True)
class Look:
    """How rows are shown, and on what.

    ``null``      the text for NULL; None is the format's own.
    ``max_rows``  rows shown at most; None: all, or as many as fit where a box meets a terminal.
    ``all_rows``  a box shows every row, whatever the terminal's height.
    ``terminal``  whether a person looks at it: cells are made safe, a box fits ``width`` and ``height``.
    ``delimiter`` what stands between the values of csv.
    ``ascii``     whether the output cannot take line-drawing characters.
    """

    format: Format = "csv"
    header: bool = True
    null: str | None = None
    max_rows: int | None = None
    all_rows: bool = False
    terminal: bool = False
    width: int = 80
    height: int = 24
    colour: bool = False
    ascii: bool = False
    delimiter: str = ","


@dataclass(frozen=True, slots=True)
class Shown:
    """What became of the rows. ``left_out`` says that there were more than ``max_rows``."""

    rows: int
    left_out: bool = False


Elapsed = Callable[[], float]  # seconds since the statement began
