"""The rows of writes.db as Structs."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec import Struct

from unify.errors import StoreError
from unify.fs.sqlite import from_micros, from_micros_or_none
from unify.model import ConfigPaths, PlannedRow, RowState, TableName, WriteState, WriteTarget

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(dict[str, object], float_hook=Decimal)  # fractions keep their digits


class NewWrite(Struct, frozen=True):
    """A write to plan. ``mode`` is insert, update, delete, upsert or mirror; ``name`` may be "".

    ``requested_by``  the user, or the agent, that asked for it.
    ``refreshes``     the table is stored, and is refreshed at the end.
    ``target``        what it is planned for.
    ``baseline``      of ``WriteStore.baseline`` before its rows were compared with others; "" if they were
                      not. ``is_matched``: they were compared with stored rows of the table.
    """

    tenant: str
    table: TableName
    mode: str
    origin: ConfigPaths
    requested_by: str = ""
    name: str = ""
    undo_of: int | None = None
    refreshes: bool = False
    target: WriteTarget = WriteTarget()
    baseline: str = ""
    is_matched: bool = False


class EndedWrite(Struct, frozen=True):
    """A statement on a table of a database, which has ended. ``error`` is "" if all of it was written.

    ``counts``  rows by state; nothing was written if it has an error.
    """

    tenant: str
    table: TableName
    mode: str
    origin: ConfigPaths
    requested_by: str
    started_at: datetime
    counts: Mapping[RowState, int] = {}
    rows: int = 0
    error: str = ""


class Write(Struct, frozen=True):
    """A write. ``attempt`` counts how often a worker has started it; ``requests`` those that were sent."""

    id: int
    uid: str
    tenant: str
    table: TableName
    mode: str
    origin: ConfigPaths
    state: WriteState
    name: str
    rows: int
    requested_by: str
    approved_by: str
    attempt: int
    requests: int
    undo_of: int | None
    refreshes: bool
    target: WriteTarget
    error: str
    created_at: datetime
    approved_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    cancel_asked: bool


class WriteRow(Struct, frozen=True):
    """A row of a write with its state. ``batch`` names the request that it was sent with."""

    write: int
    planned: PlannedRow
    state: RowState
    batch: str
    attempts: int
    status: int | None
    created: Mapping[str, object]
    message: str
    sent_at: datetime | None
    settled_at: datetime | None


def write_from_row(row: sqlite3.Row) -> Write:
    return Write(
        id=row["id"],
        uid=row["uid"],
        tenant=row["tenant"],
        table=TableName(row["connection"], row["table_name"]),
        mode=row["mode"],
        origin=decode_origin(row["origin"]),
        state=WriteState(row["state"]),
        name=row["name"],
        rows=row["rows"],
        requested_by=row["requested_by"],
        approved_by=row["approved_by"],
        attempt=row["attempt"],
        requests=row["requests"],
        undo_of=row["undo_of"],
        refreshes=bool(row["refreshes"]),
        target=decode_target(row["target"]),
        error=row["error"],
        created_at=from_micros(row["created_at"]),
        approved_at=from_micros_or_none(row["approved_at"]),
        started_at=from_micros_or_none(row["started_at"]),
        finished_at=from_micros_or_none(row["finished_at"]),
        cancel_asked=bool(row["cancel_asked"]),
    )


def row_from_row(row: sqlite3.Row) -> WriteRow:
    before = row["before"]
    return WriteRow(
        write=row["write"],
        planned=PlannedRow(
            row["number"],
            row["action"],
            _decode_values(row["vals"]),
            _decode_values(row["key"]),
            None if before is None else _decode_values(before),
            row["identity"],
            row["content"],
            bool(row["leaves"]),
        ),
        state=RowState(row["state"]),
        batch=row["batch"] or "",
        attempts=row["attempts"],
        status=row["status"],
        created=_decode_values(row["created"]),
        message=row["message"],
        sent_at=from_micros_or_none(row["sent_at"]),
        settled_at=from_micros_or_none(row["settled_at"]),
    )


class WrittenRow(Struct, frozen=True):
    """The last state of a row that an export with a name has written.

    ``is_known``  False: it was sent to be created, and nothing tells whether it was.

    Values and key stay JSON texts until they are used: an export compares many rows, and writes few.
    """

    identity: str
    values_json: str
    key_json: str
    content: str
    write: int
    is_known: bool

    @property
    def values(self) -> Mapping[str, object]:
        return _decode_values(self.values_json)

    @property
    def key(self) -> Mapping[str, object]:
        """As the API identifies the row, with what it returned."""
        return _decode_values(self.key_json)


def written_row_from_row(row: sqlite3.Row) -> WrittenRow:
    return WrittenRow(
        row["identity"], row["vals"], row["key"], row["content"], row["write"], bool(row["is_known"])
    )


def encode_row(write: int, row: PlannedRow) -> dict[str, object]:
    return {
        "write": write,
        "number": row.number,
        "action": row.action,
        "vals": encode_values(row.values),
        "key": encode_values(row.key),
        "before": None if row.before is None else encode_values(row.before),
        "identity": row.identity,
        "content": row.content,
        "leaves": row.leaves,
    }


def encode_values(values: Mapping[str, object]) -> str:
    return _encoder.encode(values).decode()


def _decode_values(text: str) -> Mapping[str, object]:
    """Raises StoreError for a text that nothing has written so."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"writes.db: the values of a row are damaged ({error}); restore a backup") from error


def encode_counts(counts: Mapping[RowState, int]) -> str:
    return msgspec.json.encode({state.value: count for state, count in counts.items() if count}).decode()


def decode_counts(text: str) -> Mapping[RowState, int]:
    return msgspec.json.decode(text, type=dict[RowState, int])


def encode_target(target: WriteTarget) -> str:
    return msgspec.json.encode(target).decode()


def decode_target(text: str) -> WriteTarget:
    """Return the target of a write; of one that was planned by an earlier version, an empty one."""
    return msgspec.json.decode(text, type=WriteTarget) if text else WriteTarget()


def encode_options(target: WriteTarget) -> str:
    """The options of a target as one text, to compare."""
    return msgspec.json.encode(dict(sorted(target.options.items()))).decode() if target.options else ""


def decode_options(text: str) -> Mapping[str, str]:
    return msgspec.json.decode(text, type=dict[str, str])


def encode_origin(origin: ConfigPaths) -> str:
    return msgspec.json.encode(origin).decode()


def decode_origin(text: str) -> ConfigPaths:
    return msgspec.json.decode(text, type=ConfigPaths)
