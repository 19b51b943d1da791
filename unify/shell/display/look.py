"""How results are to look, and the few measures every format takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from unify.interpreter.results import Rows

Format = Literal["box", "table", "csv", "json", "jsonl", "markdown", "html", "vertical"]
FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True, slots=True)
class Look:
    """How rows are shown, and on what.

    ``null``      the text for NULL; None is the format's own.
    ``max_rows``  rows shown at most; None: all, or as many as fit where a box meets a terminal.
    ``terminal``  whether a person looks at it: cells are made safe, a box fits ``width`` and ``height``.
    ``ascii``     whether the output cannot take line-drawing characters.
    """

    format: Format = "csv"
    header: bool = True
    null: str | None = None
    max_rows: int | None = None
    terminal: bool = False
    width: int = 80
    height: int = 24
    colour: bool = False
    ascii: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """What became of the rows. ``left_out`` says that there were more than ``max_rows``."""

    rows: int
    left_out: bool = False


Elapsed = Callable[[], float]  # seconds since the statement began


class Limit:
    """Lets the first ``most`` rows through; ``reached`` says, afterwards, that there were more."""

    def __init__(self, rows: Rows, most: int | None) -> None:
        self.rows = rows
        self.most = most
        self.passed = 0
        self.reached = False

    def batches(self) -> Iterator[Sequence[tuple[object, ...]]]:
        for batch in self.rows.batches:
            room = len(batch) if self.most is None else self.most - self.passed
            self.reached = len(batch) > room
            kept = batch[:room]
            self.passed += len(kept)
            if kept:
                yield kept
            if self.reached:
                return

    def limited(self) -> Rows:
        return Rows(self.rows.columns, self.batches(), self.rows.note)


def unique_names(names: Sequence[str]) -> list[str]:
    """The names with ``_2``, ``_3`` … at those that were there before, for formats that need keys."""
    taken = set(names)
    seen: set[str] = set()
    unique = []
    for name in names:
        candidate, number = name, 1
        while candidate in seen or (number > 1 and candidate in taken):
            number += 1
            candidate = f"{name}_{number}"
        seen.add(candidate)
        unique.append(candidate)
    return unique
