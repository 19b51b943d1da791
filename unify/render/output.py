"""Output: writes the results of a run to stdout or to the file of ``-o``. Nothing else writes to stdout."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from msgspec.structs import replace

from unify.errors import UnifyError, UsageError
from unify.fs.durable import FileAttributes
from unify.fs.temporary_files import (
    keep_at_termination,
    lock_temporary,
    remove_at_termination,
    remove_leftovers,
    temporary_path,
)
from unify.render import terminal
from unify.render.formats import write_rows
from unify.render.formats.layout import wrap_text
from unify.render.formats.options import (
    DeferredProjection,
    ElapsedSeconds,
    Format,
    FormatOptions,
    OutputOptions,
    WriteResult,
)
from unify.render.stdout import OutputClosed, configure_stdout, translate_write_errors
from unify.text import escape_text

if TYPE_CHECKING:
    from unify.interpreter.results import Chart, LineProjection, Rows

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
MAX_PROSE_WIDTH = 100  # columns; longer lines are hard to read on a wide terminal
RowBatch = Sequence[tuple[object, ...]]
_TABLE_SUFFIXES = (".parquet", ".pq", ".xlsx")
_COMPRESSED_SUFFIXES = (".gz", ".zst")
_SYSTEM_FOLDERS = ("/dev/", "/proc/")  # a file in them stands for a stream and is never replaced


class Output:
    """The destination of all rows of a run."""

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
        self.pager: Sequence[str] = ()  # set at the prompt only
        self.closing_message = ""  # what close() has done, if that is worth a notice
        self.colour = colour and self.terminal
        self.ascii_only = not _can_encode_box_characters(stream)

    def write_rows(self, rows: Rows, elapsed: ElapsedSeconds) -> WriteResult:
        """Write one result to its end. Raises OutputClosed, and UnifyError if it cannot be written."""
        written = WriteResult(0)  # the result if the user leaves the pager early
        source = replace(rows, batches=_read_batches(rows.batches))
        try:
            with self._translate_write_errors(), self._open_stream() as stream:
                written = write_rows(source, stream, self.format_options(), elapsed)
        except _RowReadError as error:
            raise error.cause from None
        return written

    def rewrite_statement(self, text: str) -> str:
        """Return the statement to run in place of ``text``, so that its rows reach this output."""
        return text

    def rewrite_message(self, text: str) -> str:
        """Return the message to show in place of the one of a rewritten statement; "" for none."""
        return text

    def line_projection(self) -> LineProjection | None:
        """Return the form in which the rows of a large result are written fastest, if they have one."""
        if self.terminal or self.format in ("box", "table", "vertical"):
            return None
        return DeferredProjection(self.format_options())

    def write_text(self, text: str, *, prose: bool = False) -> None:
        """Write the text of a command, with control characters escaped on a terminal.

        ``prose``  wrap lines at MAX_PROSE_WIDTH, in files and pipes too.
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
        """Write a chart as text: as wide as the terminal, or 80 columns elsewhere."""
        from unify.render.charts import render_chart

        with self._translate_write_errors(), self._open_stream() as stream:
            stream.write(render_chart(chart, self.format_options()))

    @property
    def shows_messages(self) -> bool:
        """Whether messages of statements are written here: on a terminal, never between data."""
        return self.terminal and self.format in ("box", "table", "vertical")

    def format_options(self) -> FormatOptions:
        """Return the options of the next result, with the current size of the terminal."""
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
        """Flush the stream and close it unless it is stdout. Raises UnifyError if that fails."""
        with self._translate_write_errors():
            if self.stream is not sys.stdout:
                self.stream.close()

    def discard(self) -> None:
        """Close after a failure; errors of closing are ignored in favour of the failure."""
        with suppress(OSError, UnifyError, OutputClosed):
            self.close()

    def _open_stream(self) -> AbstractContextManager[TextIO]:
        """Open the stream for one result: a pager if the result is taller than the terminal."""
        if not self.pager or not self.terminal:
            return nullcontext(self.stream)
        from unify.render.pager import open_pager

        return open_pager(self.stream, self.pager, terminal.terminal_size(self.stream)[1] - 1)

    @contextmanager
    def _translate_write_errors(self) -> Iterator[None]:
        with translate_write_errors(self.name):
            yield
            if not self.stream.closed:
                self.stream.flush()


class FileOutput(Output):
    """``-o FILE``: writes a temporary file beside FILE; close() replaces FILE with it, discard() removes it.

    ``save_each_result``  for the prompt: the first complete result replaces FILE, later ones are appended.
    A result that fails or is interrupted is removed from the file.
    """

    def __init__(self, path: Path, format: Format, options: OutputOptions, *, save_each_result: bool) -> None:
        """Raises OSError if FILE cannot be written."""
        self.path = Path(os.path.realpath(path))
        if self.path.exists() and not os.access(self.path, os.W_OK):
            raise PermissionError(0, "Permission denied")
        self.save_each_result = save_each_result
        self._attributes = FileAttributes.of(self.path)
        self._temporary = temporary_path(self.path)
        remove_leftovers(self.path.parent)
        self._is_saved = False
        super().__init__(self._create_temporary(), format, options, colour=False)

    def close(self) -> None:
        try:
            if not self.save_each_result:
                with self._translate_write_errors():
                    self._save()
        finally:
            self.discard()

    def discard(self) -> None:
        with suppress(OSError):
            self.stream.close()
        self._temporary.unlink(missing_ok=True)
        keep_at_termination(self._temporary)

    @contextmanager
    def _open_stream(self) -> Iterator[TextIO]:
        start = self.stream.tell()
        try:
            yield self.stream
            self.stream.flush()
        except BaseException:
            self.stream.seek(start)
            self.stream.truncate()
            raise
        if self.save_each_result:
            self._save()

    def _create_temporary(self) -> TextIO:
        remove_at_termination(self._temporary)
        descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        lock_temporary(descriptor)
        return open(descriptor, "w", encoding="utf-8", newline="\n")

    def _save(self) -> None:
        """Replace FILE with the temporary file, or append the temporary file if FILE is already saved."""
        self.stream.flush()
        os.fsync(self.stream.fileno())
        if self._is_saved:
            self._append_to_file()
            self.stream.seek(0)
            self.stream.truncate()
            return
        self._attributes.apply(self._temporary)
        self._temporary.replace(self.path)
        self._is_saved = True
        if self.save_each_result:
            self.stream.close()
            self.stream = self._create_temporary()

    def _append_to_file(self) -> None:
        import shutil

        with self._temporary.open("rb") as source, self.path.open("ab") as target:
            size = target.tell()
            try:
                shutil.copyfileobj(source, target)
                target.flush()
            except OSError:
                os.truncate(self.path, size)
                raise


class _RowReadError(Exception):
    """An OSError of reading rows, kept apart from errors of writing them."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


def open_output(
    options: OutputOptions, environment: Mapping[str, str], *, save_each_result: bool = False
) -> Output:
    """Open stdout, or the file of ``-o``. Raises UsageError if the file cannot be written.

    ``save_each_result``  see FileOutput.
    """
    if options.path is None:
        stream = configure_stdout()
        format = options.format or ("box" if stream.isatty() else "csv")
        return Output(stream, format, options, terminal.supports_colours(environment))
    path, suffix = Path(options.path), Path(options.path).suffix.lower()
    if suffix in _COMPRESSED_SUFFIXES:
        raise UsageError(
            f"-o {path}: -o writes uncompressed files only; use export (SELECT …) to '{path}' instead"
        )
    try:
        if suffix in _TABLE_SUFFIXES:
            from unify.render.table_file import open_table_file

            return open_table_file(path, options, save_each_result=save_each_result)
        output = _open_text_file(
            path, options.format or _FORMAT_OF_SUFFIX.get(suffix, "csv"), options, save_each_result
        )
    except OSError as error:
        raise UsageError(f"-o {path}: cannot be written: {error.strerror}") from error
    if suffix in (".tsv", ".tab") and options.format is None:
        output.delimiter = "\t"
    return output


def _open_text_file(path: Path, format: Format, options: OutputOptions, save_each_result: bool) -> Output:
    """Open a regular file to be replaced; a device or pipe is written directly."""
    if os.fspath(path).startswith(_SYSTEM_FOLDERS) or (path.exists() and not path.is_file()):
        return Output(path.open("w", encoding="utf-8", newline="\n"), format, options, colour=False)
    return FileOutput(path, format, options, save_each_result=save_each_result)


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
