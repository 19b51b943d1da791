"""How results are to look: what somebody asked for, and what they look at.

At most so many rows, whatever the format.

Rows kept until all have been seen, in memory while they are few and on disk from then on.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Literal, get_args

from unify.interpreter.results import Rows

if TYPE_CHECKING:
    from unify.render.formats.values import TextRow

Format = Literal["box", "table", "csv", "json", "jsonl", "markdown", "html", "vertical"]
FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True, slots=True)
class FormatOptions:
    """How rows are shown, and on what.

    ``null``      the text for NULL; None is the format's own.
    ``max_rows``  rows shown at most; None: all, or as many as fit where a box meets a terminal.
    ``all_rows``  a box shows every row, whatever the terminal's height.
    ``terminal``  whether a person looks at it: cells are made safe, a box fits ``width`` and ``height``.
    ``delimiter`` what stands between the values of csv.
    ``ascii_only``     whether the output cannot take line-drawing characters.
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
    ascii_only: bool = False
    delimiter: str = ","


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What the command line says of the output. None: not said.

    ``path``  the file of ``-o``; None is standard output.
    """

    path: str | None = None
    format: Format | None = None
    header: bool = True
    null: str | None = None
    max_rows: int | None = None


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of the rows. ``left_out`` says that there were more than ``max_rows``."""

    row_count: int
    is_truncated: bool = False


ElapsedSeconds = Callable[[], float]  # seconds since the statement began


class ResultLimiter:
    """Lets the first ``most`` rows through; ``is_truncated`` says, afterwards, that there were more."""

    def __init__(self, rows: Rows, max_rows: int | None) -> None:
        self.rows = rows
        self.max_rows = max_rows
        self.row_count = 0
        self.is_truncated = False

    def batches(self) -> Iterator[Sequence[tuple[object, ...]]]:
        for batch in self.rows.batches:
            room = len(batch) if self.max_rows is None else self.max_rows - self.row_count
            self.is_truncated = len(batch) > room
            kept = batch[:room]
            self.row_count += len(kept)
            if kept:
                yield kept
            if self.is_truncated:
                return

    def limit_rows(self) -> Rows:
        return replace(self.rows, batches=self.batches())


MAX_MEMORY_BYTES = 16 * 1024 * 1024


class RowSpool:
    """Holds rows in the order they were added; read it as often as you like."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115 — closed when the spool's block ends
            max_size=MAX_MEMORY_BYTES, mode="w+", encoding="utf-8", newline="\n"
        )
        self.count = 0

    def add(self, row: TextRow) -> None:
        self._file.write(json.dumps(row) + "\n")
        self.count += 1

    def __iter__(self) -> Iterator[TextRow]:
        self._file.seek(0)
        for line in self._file:
            yield json.loads(line)

    def __enter__(self) -> RowSpool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
