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
from unify.render import terminal
from unify.render.formats import write_rows
from unify.render.formats.layout import wrap_text
from unify.render.formats.options import ElapsedSeconds, Format, FormatOptions, OutputOptions, WriteResult
from unify.text import escape_text

if TYPE_CHECKING:
    from unify.interpreter.results import Chart, Rows

_FORMAT_OF_SUFFIX: dict[str, Format] = {
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
MAX_PROSE_WIDTH = 100  # columns; longer lines are hard to follow, however wide a terminal is
RowBatch = Sequence[tuple[object, ...]]
_BINARY_SUFFIXES = (".parquet", ".pq", ".xlsx")
_COMPRESSED_SUFFIXES = (".gz", ".zst")


class OutputClosed(Exception):
    """Nobody reads what we write any more, as in ``unify … | head -1``."""


class Output:
    """One destination for all rows of a run."""

    def __init__(self, stream: TextIO, format: Format, options: OutputOptions, colour: bool) -> None:
        self.stream = stream
        self.name = options.path or "standard output"
        self.format = format
        self.header = options.header
        self.null = options.null
        self.max_rows = options.max_rows
        self.all_rows = False
        self.delimiter = ","
        self.terminal = stream.isatty()
        self.pager: Sequence[str] = ()  # at the prompt; a script is never held up
        self.colour = colour and self.terminal
        self.ascii_only = not _can_encode_box_characters(stream)

    def write_rows(self, rows: Rows, elapsed: ElapsedSeconds) -> WriteResult:
        """Write one result, whole. Raises OutputClosed, and UnifyError if it cannot be written."""
        shown = WriteResult(0, False)  # unless somebody leaves the pager before the end
        source = replace(rows, batches=_read_batches(rows.batches))
        try:
            with self._translate_write_errors(), self._open_stream() as stream:
                shown = write_rows(source, stream, self.format_options(), elapsed)
        except _RowReadError as error:
            raise error.cause from None
        return shown

    def rewrite_statement(self, text: str) -> str:
        """What to run so that the rows of ``text`` come here; that is ``text``, where they come as rows."""
        return text

    def write_text(self, text: str, *, prose: bool = False) -> None:
        """Write a command's own text; on a terminal, nothing in it can steer.

        ``prose``  its lines are paragraphs, broken for reading on paper and in pipes too.
        """
        with self._translate_write_errors(), self._open_stream() as stream:
            shown = escape_text(text, allow="\n") if self.terminal else text
            stream.write(self._wrap_text(shown, prose).rstrip("\n") + "\n")

    def _wrap_text(self, text: str, prose: bool) -> str:
        width = terminal.terminal_size(self.stream)[0] if self.terminal else None
        if prose:
            width = min(width or MAX_PROSE_WIDTH, MAX_PROSE_WIDTH)
        return text if width is None else wrap_text(text, width)

    def write_chart(self, chart: Chart) -> None:
        """Write a chart as text that fits the terminal; elsewhere it is 80 columns wide."""
        from unify.render.charts import render_chart

        with self._translate_write_errors(), self._open_stream() as stream:
            stream.write(render_chart(chart, self.format_options()))

    @property
    def shows_messages(self) -> bool:
        """Whether what a statement did may stand here too: for a person, never among data."""
        return self.terminal and self.format in ("box", "table", "vertical")

    def format_options(self) -> FormatOptions:
        """How rows look now; the terminal may have another size by the next result."""
        width, height = terminal.terminal_size(self.stream) if self.terminal else (80, 24)
        return FormatOptions(
            format=self.format,
            header=self.header,
            null=self.null,
            max_rows=self.max_rows,
            all_rows=self.all_rows,
            terminal=self.terminal,
            width=width,
            height=height,
            colour=self.colour,
            ascii_only=self.ascii_only,
            delimiter=self.delimiter,
        )

    def close(self) -> None:
        """Flush; a file is closed, and only then is known to be written."""
        with self._translate_write_errors():
            if self.stream is not sys.stdout:
                self.stream.close()

    def _open_stream(self) -> AbstractContextManager[TextIO]:
        """Where to write one result: the stream, or a pager for what is too tall for the terminal."""
        if not self.pager or not self.terminal:
            return nullcontext(self.stream)
        from unify.render.pager import open_pager

        return open_pager(self.stream, self.pager, terminal.terminal_size(self.stream)[1] - 1)

    @contextmanager
    def _translate_write_errors(self) -> Iterator[None]:
        try:
            yield
            if not self.stream.closed:
                self.stream.flush()
        except BrokenPipeError as error:
            raise OutputClosed from error
        except OSError as error:
            raise UnifyError(f"{self.name}: cannot be written: {error.strerror}") from error


class TableFileOutput(Output):
    """``-o FILE.parquet`` or ``.xlsx``: the rows of one SELECT, written by ``export`` with their types."""

    def __init__(self, path: Path, options: OutputOptions) -> None:
        super().__init__(io.StringIO(), "csv", options, colour=False)
        self.path = path
        self._has_select = False

    def rewrite_statement(self, text: str) -> str:
        """Raises UsageError for a second SELECT: there is no place for its rows."""
        from unify.engine.connection import quote_literal
        from unify.language.statements import is_command
        from unify.language.tokenizer import is_select

        if is_command(text) or not is_select(text):
            return text
        if self._has_select:
            raise UsageError(f"{self.name} holds the rows of one SELECT, and this is the second")
        self._has_select = True
        return f"export (\n{text}\n) to {quote_literal(os.fspath(self.path))} overwrite"

    def close(self) -> None:
        """``export`` has closed the file."""

    def _translate_write_errors(self) -> NoReturn:
        raise UsageError(f"{self.name} holds the rows of a SELECT only")


class _RowReadError(Exception):
    """Raised while rows were read, so that it is not taken for trouble with the output."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


def open_output(options: OutputOptions, environment: Mapping[str, str]) -> Output:
    """stdout, or the file of ``-o``. Raises UsageError if that cannot be made."""
    colour = terminal.supports_colours(environment)
    suffix = Path(options.path).suffix.lower() if options.path is not None else ""
    if options.path is None:
        stream = configure_stdout()
        format: Format = "box" if stream.isatty() else "csv"
    elif suffix in _BINARY_SUFFIXES:
        return _open_table_file(Path(options.path).absolute(), options)
    else:
        _reject_compressed(options.path, suffix)
        stream = _create_file(Path(options.path))
        format = _FORMAT_OF_SUFFIX.get(suffix, "csv")
    output = Output(stream, options.format or format, options, colour)
    if suffix in (".tsv", ".tab") and options.format is None:
        output.delimiter = "\t"
    return output


def _reject_compressed(path: str, suffix: str) -> None:
    """Raises UsageError for a file whose name says that it is compressed: it would not be."""
    if suffix in _COMPRESSED_SUFFIXES:
        raise UsageError(f"-o {path}: nothing is compressed here; export (SELECT …) to '{path}' does it")


def _open_table_file(path: Path, options: OutputOptions) -> TableFileOutput:
    """Raises UsageError before anything runs for what would only fail after the query."""
    suffix = path.suffix.lower()
    if options.format is not None:
        raise UsageError(f"-o {options.path}: its suffix says the format; --format does not go with it")
    if options.max_rows is not None:
        raise UsageError(f"-o {options.path}: --max-rows does not go with it; say limit in the SELECT")
    if not path.parent.is_dir():
        raise UsageError(f"-o {options.path}: cannot be written: there is no folder {path.parent}")
    from importlib.util import find_spec

    if suffix == ".xlsx" and find_spec("openpyxl") is None:
        raise UsageError(
            f"-o {options.path}: Excel files need the package openpyxl: pip install 'unify-sql[excel]'"
        )
    return TableFileOutput(path, options)


def configure_stdout() -> TextIO:
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


def discard_stdout() -> None:
    """Nobody reads stdout: let Python's own flush at exit go nowhere instead of failing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _create_file(path: Path) -> TextIO:
    try:
        return path.open("w", encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"-o {path}: cannot be written: {error.strerror}") from error


def _read_batches(batches: Iterator[RowBatch]) -> Iterator[RowBatch]:
    try:
        yield from batches
    except OSError as error:
        raise _RowReadError(error) from error


def _can_encode_box_characters(stream: TextIO) -> bool:
    try:
        "┌─…·".encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
