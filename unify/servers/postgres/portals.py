"""Portals: statements that run, and their rows as messages.

A portal whose rows were fetched in part keeps its query open. DuckDB runs one query a connection, so the rest
of its rows goes to a temporary file when another statement begins.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import IO, cast

from pygwire.messages import FieldDescription, RowDescription

from unify.errors import UnifyError
from unify.servers.postgres.wire_types import WireColumn, result_formats

DATA_ROW, COPY_DATA = b"D", b"d"
SPOOL_MEMORY_BYTES = 1024**2
_LENGTH = struct.Struct("!I")


class PortalRows:
    """The rows of a statement, each as the content of a DataRow, in batches.

    ``columns``  None: the statement has no rows.
    ``tag``      of CommandComplete; of a statement with rows, their number is added.
    ``on_end``   called once, with the error that ended the rows, if any; returns the error to raise instead.
    """

    def __init__(
        self,
        columns: Sequence[WireColumn] | None,
        batches: Iterator[list[bytes]],
        tag: str = "SELECT",
        on_end: Callable[[BaseException | None], UnifyError | None] = lambda _error: None,
    ) -> None:
        self.columns = columns
        self.tag = tag
        self._batches = batches
        self._on_end = on_end
        self._is_open = True
        self._ahead: list[bytes] = []
        self._spool: IO[bytes] | None = None

    def take(self, count: int | None = None) -> list[bytes]:
        """Return the next rows, at most ``count``; an empty list at the end."""
        rows = self._ahead or self._next_batch()
        if count is not None and len(rows) > count:
            self._ahead = rows[count:]
            return rows[:count]
        self._ahead = []
        return rows

    @property
    def has_more(self) -> bool:
        """Whether there are rows left; may read the next ones."""
        if not self._ahead:
            self._ahead = self._next_batch()
        return bool(self._ahead)

    def spool(self) -> None:
        """Read the rest of the rows from DuckDB, whose connection another statement needs."""
        if self._spool is not None or not self._is_open:
            return
        spool = cast("IO[bytes]", tempfile.SpooledTemporaryFile(SPOOL_MEMORY_BYTES))  # noqa: SIM115 - close does
        while batch := self._next_batch():
            spool.write(b"".join(_LENGTH.pack(len(row)) + row for row in batch))
        spool.seek(0)
        self._spool = spool

    def close(self, error: BaseException | None = None) -> UnifyError | None:
        """End the statement; return the error for the client. Rows that were not read are dropped."""
        if self._spool is not None:
            self._spool.close()
        if self._is_open:
            self._is_open = False
            close = getattr(self._batches, "close", None)
            if close is not None:
                close()
            return self._on_end(error)
        return None

    def _next_batch(self) -> list[bytes]:
        if self._spool is not None:
            return _read_spooled(self._spool)
        if not self._is_open:
            return []
        try:
            for batch in self._batches:
                if batch:
                    return batch
        except BaseException as error:
            explained = self.close(error)
            if explained is None or explained is error:
                raise
            raise explained from error
        self.close()
        return []


class Portal:
    """A bound statement. ``stream`` is None until it runs; ``rows``: how many were sent.

    ``has_rows``   whether it returns rows, as far as its text tells.
    ``is_cursor``  made by DECLARE; ``is_held``: it outlives its transaction.
    """

    def __init__(
        self,
        open_stream: Callable[[Sequence[int]], PortalRows],
        formats: Sequence[int],
        *,
        has_rows: bool = True,
        is_cursor: bool = False,
        is_held: bool = False,
    ) -> None:
        self.formats = formats
        self.has_rows = has_rows
        self.is_cursor = is_cursor
        self.is_held = is_held
        self.rows = 0
        self.stream: PortalRows | None = None
        self._open_stream = open_stream

    def open(self) -> PortalRows:
        """Run the statement, once."""
        if self.stream is None:
            self.stream = self._open_stream(self.formats)
        return self.stream

    def close(self) -> None:
        if self.stream is not None:
            self.stream.close()


def describe_row(columns: Sequence[WireColumn], formats: Sequence[int] = ()) -> RowDescription:
    """Return the description of rows whose cells have these formats."""
    chosen = result_formats(formats, len(columns))
    return RowDescription(
        fields=[
            FieldDescription(
                name=column.name.replace("\0", ""),
                type_oid=column.type.oid,
                type_size=column.type.size,
                type_modifier=column.type_modifier,
                format_code=format,
                table_oid=column.table_oid,
                column_attr=column.table_column,
            )
            for column, format in zip(columns, chosen, strict=True)
        ]
    )


def frame_rows(rows: Sequence[bytes], kind: bytes = DATA_ROW) -> bytes:
    """Return messages of a kind with the content of rows."""
    pack = _LENGTH.pack
    return b"".join([kind + pack(len(row) + 4) + row for row in rows])


def _read_spooled(spool: IO[bytes]) -> list[bytes]:
    rows: list[bytes] = []
    while len(rows) < 2048 and (head := spool.read(4)):
        rows.append(spool.read(_LENGTH.unpack(head)[0]))
    return rows
