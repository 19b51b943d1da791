"""An adapter that somebody else wrote in Python: its answers checked, its exceptions told as errors of ours.

A load that fails in a package's code names the package, without secrets, and the worker lives on.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import msgspec

from unify.adapters.base import Adapter, Check, Page, Read
from unify.adapters.messages import Veil
from unify.adapters.rowplaces import OPEN_OBJECT, first_char
from unify.connections import Secret
from unify.errors import BadResponse, ConfigError, SourceError, UnifyError
from unify.model import TableDef

Values = Mapping[str, str | Secret | None]
T = TypeVar("T")

_any_raw = msgspec.json.Decoder(msgspec.Raw)


class GuardedAdapter(Adapter):
    """``inner``, which package ``place`` offers, for one connection whose options are ``values``."""

    def __init__(self, inner: Adapter, connection: str, place: str, values: Values) -> None:
        self.inner = inner
        self._where = f"{connection} ({place})"
        self._secrets = revealed(values)
        self._veil = Veil(self._secrets)

    def list_tables(self) -> Sequence[TableDef]:
        with translated(self._where, self._veil, ConfigError):
            return _checked_tables(self.inner.list_tables())

    def pages(self, table: str, read: Read) -> Generator[Page, None, None]:
        where = f"{table} of {self._where}"
        with translated(where, self._veil):
            given = iter(self.inner.pages(table, read))
        try:
            while True:
                with translated(where, self._veil):
                    page = next(given, None)
                    if page is None:
                        return
                    page = _checked_page(page)
                yield page
        finally:
            if isinstance(given, Generator):
                given.close()

    def check(self) -> Check:
        with translated(self._where, self._veil):
            return _is_a(Check, self.inner.check(), "check()")

    def close(self) -> None:
        with translated(self._where, self._veil):
            self.inner.close()

    def secrets(self) -> Sequence[str]:
        return self._secrets


@contextmanager
def translated(where: str, veil: Veil, kind: type[UnifyError] = SourceError) -> Iterator[None]:
    """What a package's code raises in the block becomes a ``kind``; errors of ours stay what they are."""
    try:
        yield
    except UnifyError as error:
        error.message = veil.text(error.message)
        error.args = (error.message,)
        raise
    except Exception as error:  # noqa: BLE001 - anything may come out of code that is not ours
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        # without its cause, which may quote secrets
        raise kind(veil.text(f"{where}: {said}{_line_of(error)}")) from None


def revealed(values: Values) -> tuple[str, ...]:
    return tuple(value.reveal() for value in values.values() if isinstance(value, Secret))


def _line_of(error: Exception) -> str:
    """``, at adapter.py:31``: the innermost place it passed."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f", at {trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"


def _is_a(kind: type[T], value: object, what: str) -> T:
    if not isinstance(value, kind):
        raise BadResponse(f"{what} gave {type(value).__name__}, not unify.{kind.__name__}")
    return value


def _checked_tables(given: Sequence[TableDef]) -> tuple[TableDef, ...]:
    tables = tuple(_is_a(TableDef, table, "list_tables()") for table in given)
    names = [table.name.lower() for table in tables]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"list_tables() gives two tables {twice}; SQL cannot tell them apart")
    for table in tables:
        missing = next((parent for parent in table.parents if parent.lower() not in names), None)
        if missing is not None:
            raise ConfigError(f"list_tables(): {table.name} is made from {missing}, which is no table of it")
    return tables


def _checked_page(given: Page) -> Page:
    page = _is_a(Page, given, "pages()")
    return replace(page, rows=[_checked_row(row) for row in page.rows])


def _checked_row(row: bytes) -> bytes:
    """One JSON object on one line: rows are joined by line ends later."""
    if not isinstance(row, bytes) or first_char(row) != OPEN_OBJECT:
        raise BadResponse(f"a row has to be a JSON object as bytes, not {str(row)[:80]!r}; see Page.of")
    try:
        _any_raw.decode(row)
    except msgspec.DecodeError as error:
        raise BadResponse(f"a row is not JSON ({error}): {row[:80]!r}") from error
    return row.replace(b"\n", b" ").replace(b"\r", b" ") if b"\n" in row or b"\r" in row else row
