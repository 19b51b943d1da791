"""Standard output: its encoding, and what happens when it cannot be written."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from unify.errors import UnifyError
from unify.text import escape_text


class OutputClosed(Exception):
    """The reader of stdout has closed it, as in ``unify … | head -1``."""


def configure_stdout() -> TextIO:
    """Return stdout as UTF-8 with line feeds. A terminal keeps its encoding; other characters are escaped."""
    stream = sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        if stream.isatty():
            stream.reconfigure(errors="backslashreplace")
        else:
            stream.reconfigure(encoding="utf-8", newline="\n")
    return stream


def open_closed_streams() -> None:
    """Open the null device for each of stdin, stdout and stderr with which the process was not started.

    A file that is opened later, such as a database, would get its number, and what is printed would be
    written to it.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - open until the end of the process


def print_line(line: str) -> None:
    """Write a line to stdout, with control characters escaped. Raises as ``write_stdout``."""
    write_stdout(escape_text(line) + "\n")


def write_stdout(text: str) -> None:
    """Write a text to stdout. Raises OutputClosed, and UnifyError if it cannot be written."""
    with translate_write_errors():
        sys.stdout.write(text)


def flush_stdout() -> None:
    """Write what stdout has buffered. Raises as ``write_stdout``; what cannot be written is discarded."""
    try:
        with translate_write_errors():
            sys.stdout.flush()
    except UnifyError:
        discard_stdout()
        raise


@contextmanager
def translate_write_errors(name: str = "standard output") -> Iterator[None]:
    """Translate errors of writing the output ``name``."""
    try:
        yield
    except BrokenPipeError as error:
        raise OutputClosed from error
    except OSError as error:
        raise UnifyError(f"{name}: cannot be written: {error.strerror}") from error


def discard_stdout() -> None:
    """Redirect stdout to the null device, so that Python's flush at exit does not fail."""
    null_device = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null_device, 1)
    os.close(null_device)
    with suppress(OSError, ValueError):
        sys.stdout.flush()
