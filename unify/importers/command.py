"""``unify spec import``: reads the files, writes the spec, prints the report."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from unify.errors import FileError, UsageError
from unify.importers.common.documents import MAX_JSON_BYTES, SourceText, read_source
from unify.importers.convert import ImportResult, convert
from unify.importers.model import ImportSettings
from unify.importers.report import report_json, report_text
from unify.text import escape_text


class ImportCommand(Struct, frozen=True):
    """The arguments of the command. ``output`` of ``-`` is standard output; the report is then on stderr."""

    files: Sequence[str]
    settings: ImportSettings
    format_name: str | None = None
    tables: Sequence[str] = ()
    output: str | None = None
    report: str | None = None
    force: bool = False


def run_import(command: ImportCommand) -> int:
    """Run the command and return the exit status.

    0: every stream is a table; 1: something is left. Raises UsageError (2) if a file cannot be read or
    written.
    """
    try:
        result = convert(
            [_read(path) for path in command.files],
            command.settings,
            format_name=command.format_name,
            tables=command.tables,
            output=command.output,
        )
        _write(result, command)
    except FileError as error:
        raise UsageError(error.message) from error
    is_json = command.report == "json"
    text = report_json(result.report) if is_json else escape_text(report_text(result.report), allow="\n")
    stream = sys.stderr if command.output == "-" else sys.stdout
    stream.write(text)
    return 0 if result.report.is_complete and result.text else 1


def _read(path: str) -> SourceText:
    if path != "-":
        return read_source(path)
    raw = sys.stdin.buffer.read(MAX_JSON_BYTES + 1) if sys.stdin is not None else b""
    if len(raw) > MAX_JSON_BYTES:
        raise FileError(f"standard input has more than {MAX_JSON_BYTES:,} bytes")
    return read_source("-", raw)


def _write(result: ImportResult, command: ImportCommand) -> None:
    """Write the spec; an existing file is kept without ``--force``. Raises FileError."""
    if not result.text:
        return
    if command.output == "-":
        sys.stdout.write(result.text)
        return
    path = Path(result.report.file)
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if command.force else os.O_EXCL)
    try:
        descriptor = os.open(path, flags, 0o644)
    except FileExistsError as error:
        raise FileError(f"{path}: exists; --force replaces it, -o FILE writes another file") from error
    except OSError as error:
        raise FileError(f"{path}: cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
        file.write(result.text)
