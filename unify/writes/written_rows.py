"""What exports with a name have written: the last acknowledged state of each row, by identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unify.model import RowOutcome, RowState, TableName
from unify.writes.database import WriteDatabase
from unify.writes.records import (
    Write,
    WrittenRow,
    decode_options,
    encode_options,
    encode_values,
    row_from_row,
    written_row_from_row,
)

SUCCESSES = frozenset([RowState.CREATED, RowState.UPDATED, RowState.DELETED, RowState.UNCHANGED])
_NAMED = ("tenant", "connection", "table_name", "name", "identity")
_KEPT = ("vals", "content", "write")


class WrittenRows:
    """The written rows of a store; ``WriteStore.written``."""

    def __init__(self, database: WriteDatabase) -> None:
        self._database = database

    def rows(self, tenant: str, table: TableName, name: str) -> Mapping[str, WrittenRow]:
        """Return what the exports of this name have written, by identity."""
        if not self._database.path.exists():
            return {}
        found = self._database.fetch_all("written_rows", _name_values(tenant, table, name))
        return {row.identity: row for row in map(written_row_from_row, found)}

    def options(self, tenant: str, table: TableName, name: str) -> Sequence[Mapping[str, str]]:
        """Return the digests of the options with which the exports of this name have written."""
        if not self._database.path.exists():
            return ()
        found = self._database.fetch_all("written_options", _name_values(tenant, table, name))
        return [decode_options(row["options"]) for row in found]

    def forget(self, tenant: str, name: str) -> None:
        """Forget what the exports of this name have written."""
        if self._database.path.exists():
            with self._database.transaction():
                self._database.execute("forget_name", {"tenant": tenant, "name": name})

    # Within a transaction

    def track(self, write: Write, outcome: RowOutcome) -> None:
        """Record what an export with a name has now written."""
        if not write.name or outcome.state not in SUCCESSES:
            return
        tracked = {"write": write.id, "number": outcome.number}
        for row in self._database.fetch_all("tracked_rows", tracked):
            named = {name: row[name] for name in _NAMED}
            if row["leaves"]:
                self._database.execute("drop_written", named)
                continue
            key = {**row_from_row(row).planned.key, **outcome.created}
            values = {name: row[name] for name in _KEPT}
            encoded = {"key": encode_values(key), "options": encode_options(write.target)}
            self._database.execute("put_written", {**named, **values, **encoded})

    def put_unknown(self, write: int) -> None:
        """Record the inserts of a write of which nobody knows: a later export must not repeat them."""
        self._database.execute("put_unknown", {"write": write})

    def drop_unknown(self, write: int) -> None:
        """Forget them: they are planned again."""
        self._database.execute("drop_retried", {"write": write})


def _name_values(tenant: str, table: TableName, name: str) -> dict[str, object]:
    return {"tenant": tenant, "connection": table.schema, "table_name": table.table, "name": name}
