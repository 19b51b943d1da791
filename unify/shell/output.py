"""Where rows go: the only one who writes to stdout, or to the file of ``-o``."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from unify.errors import UnifyError, UsageError
from unify.shell import terminal
from unify.shell.cli import Invocation
from unify.shell.display import display
from unify.shell.display.look import Elapsed, Format, Look, Shown
from unify.shell.display.width import wrapped
from unify.text import safe_text

if TYPE_CHECKING:
    from unify.interpreter.chart import Chart
    from unify.interpreter.results import Rows

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".md": "markdown",
    ".html": "html",
    ".txt": "box",
}
PROSE_WIDTH = 100  # columns; longer lines are hard to follow, however wide a terminal is
Batch = Sequence[tuple[object, ...]]
_BINARY = (".parquet", ".pq", ".xlsx")
_PACKED = (".gz", ".zst")


class OutputClosed(Exception):
    """Nobody reads what we write any more, as in ``unify … | head -1``."""


class Output:
    """One destination for all rows of a run."""

    def __init__(self, stream: TextIO, format: Format, invocation: Invocation, colour: bool) -> None:
        self.stream = stream
        self.name = invocation.output or "standard output"
        self.format = format
        self.header = invocation.header
        self.null = invocation.null
        self.max_rows = invocation.max_rows
        self.all_rows = False
        self.delimiter = ","
        self.terminal = stream.isatty()
        self.pager: Sequence[str] = ()  # at the prompt; a script is never held up
        self.colour = colour and self.terminal
        self.ascii = not _draws_lines(stream)

    def rows(self, rows: Rows, elapsed: Elapsed) -> Shown:
        """Write one result, whole. Raises OutputClosed, and UnifyError if it cannot be written."""
        shown = Shown(0, False)  # unless somebody leaves the pager before the end
        source = replace(rows, batches=_reading(rows.batches))
        try:
            with self._written(), self._shown() as stream:
                shown = display(source, stream, self.look(), elapsed)
        except _Reading as error:
            raise error.cause from None
        return shown

    def statement(self, text: str) -> str:
        """What to run so that the rows of ``text`` come here; that is ``text``, where they come as rows."""
        return text

    def text(self, text: str, *, prose: bool = False) -> None:
        """Write a command's own text; on a terminal, nothing in it can steer.

        ``prose``  its lines are paragraphs, broken for reading on paper and in pipes too.
        """
        with self._written(), self._shown() as stream:
            shown = safe_text(text, keep="\n") if self.terminal else text
            stream.write(self._broken(shown, prose).rstrip("\n") + "\n")

    def _broken(self, text: str, prose: bool) -> str:
        width = terminal.size(self.stream)[0] if self.terminal else None
        if prose:
            width = min(width or PROSE_WIDTH, PROSE_WIDTH)
        return text if width is None else wrapped(text, width)

    def chart(self, chart: Chart) -> None:
        """Write a chart as text that fits the terminal; elsewhere it is 80 columns wide."""
        from unify.shell.charts import drawn

        with self._written(), self._shown() as stream:
            stream.write(drawn(chart, self.look()))

    @property
    def shows_messages(self) -> bool:
        """Whether what a statement did may stand here too: for a person, never among data."""
        return self.terminal and self.format in ("box", "table", "vertical")

    def look(self) -> Look:
        """How rows look now; the terminal may have another size by the next result."""
        width, height = terminal.size(self.stream) if self.terminal else (80, 24)
        return Look(
            format=self.format,
            header=self.header,
            null=self.null,
            max_rows=self.max_rows,
            all_rows=self.all_rows,
            terminal=self.terminal,
            width=width,
            height=height,
            colour=self.colour,
            ascii=self.ascii,
            delimiter=self.delimiter,
        )

    def close(self) -> None:
        """Flush; a file is closed, and only then is known to be written."""
        with self._written():
            if self.stream is not sys.stdout:
                self.stream.close()

    def _shown(self) -> AbstractContextManager[TextIO]:
        """Where to write one result: the stream, or a pager for what is too tall for the terminal."""
        if not self.pager or not self.terminal:
            return nullcontext(self.stream)
        from unify.shell.pager import paged

        return paged(self.stream, self.pager, terminal.size(self.stream)[1] - 1)

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
            if not self.stream.closed:
                self.stream.flush()
        except BrokenPipeError as error:
            raise OutputClosed from error
        except OSError as error:
            raise UnifyError(f"{self.name}: cannot be written: {error.strerror}") from error


class TableFile(Output):
    """``-o FILE.parquet`` or ``.xlsx``: the rows of one SELECT, written by ``export`` with their types."""

    def __init__(self, path: Path, invocation: Invocation) -> None:
        super().__init__(io.StringIO(), "csv", invocation, colour=False)
        self.path = path
        self._asked = False

    def statement(self, text: str) -> str:
        """Raises UsageError for a second SELECT: there is no place for its rows."""
        from unify.language.placeholders import is_select
        from unify.language.recognition import is_command
        from unify.store.duck import literal

        if is_command(text) or not is_select(text):
            return text
        if self._asked:
            raise UsageError(f"{self.name} holds the rows of one SELECT, and this is the second")
        self._asked = True
        return f"export (\n{text}\n) to {literal(os.fspath(self.path))} overwrite"

    def close(self) -> None:
        """``export`` has closed the file."""

    def _written(self) -> NoReturn:
        raise UsageError(f"{self.name} holds the rows of a SELECT only")


class _Reading(Exception):
    """Raised while rows were read, so that it is not taken for trouble with the output."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


def open_output(invocation: Invocation, environment: Mapping[str, str]) -> Output:
    """stdout, or the file of ``-o``. Raises UsageError if that cannot be made."""
    colour = terminal.takes_colours(environment)
    suffix = Path(invocation.output).suffix.lower() if invocation.output is not None else ""
    if invocation.output is None:
        stream = standard_output()
        format: Format = "box" if stream.isatty() else "csv"
    elif suffix in _BINARY:
        return _table_file(Path(invocation.output).absolute(), invocation)
    else:
        _refuse_packed(invocation.output, suffix)
        stream = _create(Path(invocation.output))
        format = _SUFFIXES.get(suffix, "csv")
    output = Output(stream, invocation.format or format, invocation, colour)
    if suffix in (".tsv", ".tab") and invocation.format is None:
        output.delimiter = "\t"
    return output


def _refuse_packed(path: str, suffix: str) -> None:
    """Raises UsageError for a file whose name says that it is compressed: it would not be."""
    if suffix in _PACKED:
        raise UsageError(f"-o {path}: nothing is compressed here; export (SELECT …) to '{path}' does it")


def _table_file(path: Path, invocation: Invocation) -> TableFile:
    """Raises UsageError before anything runs for what would only fail after the query."""
    suffix = path.suffix.lower()
    if invocation.format is not None:
        raise UsageError(f"-o {invocation.output}: its suffix says the format; --format does not go with it")
    if invocation.max_rows is not None:
        raise UsageError(f"-o {invocation.output}: --max-rows does not go with it; say limit in the SELECT")
    if not path.parent.is_dir():
        raise UsageError(f"-o {invocation.output}: cannot be written: there is no folder {path.parent}")
    from importlib.util import find_spec

    if suffix == ".xlsx" and find_spec("openpyxl") is None:
        raise UsageError(
            f"-o {invocation.output}: Excel files need the package openpyxl: pip install 'unify-sql[excel]'"
        )
    return TableFile(path, invocation)


def standard_output() -> TextIO:
    """stdout as UTF-8 with plain line feeds; a terminal keeps its encoding and escapes what it lacks."""
    stream = sys.stdout
    if stream is None:  # started with stdout closed
        return io.StringIO()
    if isinstance(stream, io.TextIOWrapper):
        if stream.isatty():
            stream.reconfigure(errors="backslashreplace")
        else:
            stream.reconfigure(encoding="utf-8", newline="\n")
    return stream


def abandon_standard_output() -> None:
    """Nobody reads stdout: let Python's own flush at exit go nowhere instead of failing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _create(path: Path) -> TextIO:
    try:
        return path.open("w", encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"-o {path}: cannot be written: {error.strerror}") from error


def _reading(batches: Iterator[Batch]) -> Iterator[Batch]:
    try:
        yield from batches
    except OSError as error:
        raise _Reading(error) from error


def _draws_lines(stream: TextIO) -> bool:
    try:
        "┌─…·".encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
