"""Options of result formats; limits on rows, and rows kept on disk until their widths are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from unify.interpreter.results import Rows
    from unify.render.formats.projection import FormatProjection
    from unify.render.formats.values import TextRow

Format = Literal["box", "table", "csv", "json", "jsonl", "markdown", "html", "vertical"]
FORMATS: tuple[Format, ...] = get_args(Format)


class FormatOptions(Struct, frozen=True):
    """The format of written rows.

    ``null``        the text of NULL; None: the default of the format.
    ``max_rows``    maximum number of rows; None: all, or as many as fit for a box on a terminal.
    ``all_rows``    show every row in a box, whatever the terminal's height.
    ``terminal``    escape control characters, and fit boxes to ``width`` and ``height``.
    ``delimiter``   separates the values of csv.
    ``ascii_only``  the output cannot encode box-drawing characters.
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


class OutputOptions(Struct, frozen=True):
    """The output options of the command line; None: not given.

    ``path``  the file of ``-o``; None: standard output.
    """

    path: str | None = None
    format: Format | None = None
    header: bool = True
    null: str | None = None
    max_rows: int | None = None


class WriteResult(Struct, frozen=True):
    """The number of rows written. ``is_truncated``: there were more than ``max_rows``."""

    row_count: int
    is_truncated: bool = False


def projected_texts(rows: Rows, separator: str) -> Iterator[str] | None:
    """Yield the lines of each batch, joined by ``separator``; None if the rows are values, not lines."""
    return rows.projection.texts(rows.batches, separator) if rows.projection is not None else None


class DeferredProjection:
    """A FormatProjection, imported when a large result uses it."""

    applies_always = False

    def __init__(self, options: FormatOptions) -> None:
        self._options = options

    def expressions(self, columns: Sequence[tuple[str, str]]) -> Sequence[str]:
        return self._projection.expressions(columns)

    def texts(self, batches: Iterator[Sequence[tuple[object, ...]]], separator: str) -> Iterator[str]:
        return self._projection.texts(batches, separator)

    @cached_property
    def _projection(self) -> FormatProjection:
        from unify.render.formats.projection import FormatProjection

        return FormatProjection(self._options)


ElapsedSeconds = Callable[[], float]  # seconds since the statement started


class ResultLimiter:
    """Passes on the first ``max_rows`` rows and counts them; ``is_truncated`` is set if there were more."""

    def __init__(self, rows: Rows, max_rows: int | None) -> None:
        self.rows = rows
        self.max_rows = max_rows
        self.row_count = 0
        self.is_truncated = False

    def batches(self) -> Iterator[Sequence[tuple[object, ...]]]:
        for batch in self.rows.batches:
            available = len(batch) if self.max_rows is None else self.max_rows - self.row_count
            self.is_truncated = len(batch) > available
            passed = batch[:available]
            self.row_count += len(passed)
            if passed:
                yield passed
            if self.is_truncated:
                return

    def limit_rows(self) -> Rows:
        return replace(self.rows, batches=self.batches())


MAX_MEMORY_BYTES = 16 * 1024 * 1024


class RowSpool:
    """Keeps rows in order, on disk beyond MAX_MEMORY_BYTES; can be read several times."""

    def __init__(self) -> None:
        import tempfile

        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115 — closed by __exit__
            max_size=MAX_MEMORY_BYTES, mode="w+", encoding="utf-8", newline="\n"
        )
        self.count = 0

    def add(self, row: TextRow) -> None:
        import json

        self._file.write(json.dumps(row) + "\n")
        self.count += 1

    def __iter__(self) -> Iterator[TextRow]:
        import json

        self._file.seek(0)
        for line in self._file:
            yield json.loads(line)

    def __enter__(self) -> RowSpool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
