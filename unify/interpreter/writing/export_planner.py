"""Plans ``export (SELECT) to S.T``: which rows of the source are inserted, updated or deleted.

What an export with a name has written is in the store of writes: ``delta`` compares with it, and ``mirror``
finds the rows there that are gone from the source. Rows that only other people have written are never
deleted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from unify.adapters.spec.write import WriteOperation, WriteSpec
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError
from unify.interpreter.freshness import MaxAge
from unify.interpreter.query.query import QueryRunner
from unify.interpreter.writing import row_checks
from unify.interpreter.writing.leaving_rows import LeavingRows, allowed_values, identity_of, read_other_rows
from unify.interpreter.writing.plan import WritePlan, use_declared_names
from unify.interpreter.writing.rows_to_write import (
    MATCH_TABLE,
    SOURCE_TABLE,
    STORED_ROW,
    RowsToWrite,
    Values,
    open_rows,
    refresh_after_write,
    target_sql,
)
from unify.lake import catalog
from unify.language.commands import ExportRows, GoneRows
from unify.model import PlannedRow, TableName
from unify.text import did_you_mean, format_count
from unify.writes.records import WrittenRow, encode_values

MAX_SOURCE_ROWS = 1_000_000  # compared with what was written; only those that differ are kept in memory
_KEY_PREFIX, _NUMBER = "unify key ", "unify number"


class _Match(Struct, frozen=True):
    """A stored row of the target that a row of the source means."""

    key: Values
    before: Values


class WriteHistory(Struct, frozen=True):
    """What was written until now.

    ``baseline``      of NewWrite.
    ``written``       what exports of the name have written, by identity.
    ``last_sent_at``  when the last write of the table ended; None: there is none.
    """

    baseline: str = ""
    written: Mapping[str, WrittenRow] = {}
    last_sent_at: datetime | None = None


class ExportPlanner:
    """Plans one export."""

    def __init__(
        self,
        command: ExportRows,
        target: TableName,
        spec: WriteSpec,
        *,
        name: str,
    ) -> None:
        self._command = command
        self._target = target
        self._spec = spec
        self._written: Mapping[str, WrittenRow] = {}
        self._adopted = 0  # rows of the target that are compared with the source, whoever has written them
        self._name = name
        self._mode = _resolve_mode(command, target)
        is_upsert = self._mode in ("upsert", "mirror") and spec.upsert is not None
        self._direct_key = spec.upsert_key if is_upsert else tuple(spec.key)
        self._key = command.key or (() if self._mode == "insert" else self._direct_key)
        self._is_direct = {*map(str.lower, self._key)} == {*map(str.lower, self._direct_key)}
        self._remarks: list[str] = []

    @property
    def is_matched(self) -> bool:
        """Whether rows are compared with stored rows of the target."""
        return self._mode != "insert" and (not self._is_direct or self._command.adopt)

    def plan(self, query: QueryRunner, max_age: MaxAge, limit: int, history: WriteHistory) -> WritePlan:
        """Read the source, and the stored rows of the target where rows have to be found there.

        ``limit``  how many rows may be written. Raises QueryError.
        """
        self._written = history.written
        operation = self._check_operation()
        with open_rows(query, self._command.source, max_age, MAX_SOURCE_ROWS + 1) as source:
            self._check_source(source.columns)
            identities: set[str] = set()
            chosen: list[PlannedRow] = []
            count = 0
            for row in self._source_rows(source, operation):
                count += 1
                if row.identity in identities and self._key:
                    raise QueryError(
                        f"{self._target}: row {row.number} has the same {', '.join(self._key)} as an "
                        "earlier row; nothing was sent"
                    )
                identities.add(row.identity)
                if self._differs(row):
                    chosen.append(row)
                    self._check_count(len(chosen), limit)
            if self.is_matched:
                refresh_after_write(query, self._target, max_age, history.last_sent_at)
            rows, note = self._match(query, max_age, chosen), source.note
        leaving = self._leaving_rows(query, identities, count, rows)
        self._check_count(len(rows) + len(leaving), limit)
        known = sum(row.is_known for row in self._written.values())
        return WritePlan(
            self._target,
            self._mode,
            use_declared_names(self._spec, [*rows, *leaving]),
            note,
            tuple(self._remarks),
            self._name,
            written=max(known, self._adopted),
            leaving=len(leaving),
            read=count,
            filtered=count - len(rows),
            baseline=history.baseline,
            is_matched=self.is_matched,
        )

    # Checks

    def _check_operation(self) -> WriteOperation:
        """Return the operation of the rows, before they are looked for in the target."""
        spec, target = self._spec, self._target
        match self._mode:
            case "insert":
                row_checks.check_operation(target, spec, "insert")
                return "insert"
            case "update":
                row_checks.check_operation(target, spec, "update")
                self._require_key()
                return "update"
        self._require_key()
        if spec.upsert is not None and self._is_direct:
            return "upsert"
        if spec.insert is None or spec.update is None:
            hint = f": by {', '.join(spec.upsert_key)}" if spec.upsert is not None else ""
            can = ", ".join(spec.operations)
            raise QueryError(f"{target}: its API has no upsert by {', '.join(self._key)}; it can {can}{hint}")
        return "update"

    def _require_key(self) -> None:
        if not self._key:
            raise QueryError(f"{self._target}: say which columns identify a row: by COLUMN")

    def _check_source(self, columns: Mapping[str, str]) -> None:
        """Raise QueryError for a key that the source does not have."""
        given = {name.lower() for name in columns}
        for name in self._key:
            if name.lower() not in given:
                hint = did_you_mean(name, list(columns))
                raise QueryError(
                    f"{self._target}: the rows have no column {name}, which identifies them{hint}"
                )

    def _check_count(self, count: int, limit: int) -> None:
        if count > limit:
            raise QueryError(row_checks.too_many_rows(self._target, limit))

    # Rows of the source

    def _source_rows(self, source: RowsToWrite, operation: WriteOperation) -> Iterator[PlannedRow]:
        """Yield each row with its identity and content."""
        key_names = {name.lower() for name in self._key}
        keys = [name for name in source.columns if name.lower() in key_names]
        written = [
            name
            for name in source.columns
            if name.lower() not in key_names or self._spec.column(name) is not None
        ]
        objects = (source.object_of(columns=written or keys), source.object_of(columns=keys or written))
        for number, (values, key) in enumerate(source.rows(*objects), start=1):
            if number > MAX_SOURCE_ROWS:
                raise QueryError(
                    f"{self._target}: the source has more than {format_count(MAX_SOURCE_ROWS, 'row')}"
                )
            missing = [name for name in keys if key[name] is None]
            if missing:
                reason = f"row {number}: {', '.join(missing)} of its key is NULL"
                raise QueryError(f"{self._target}: nothing was sent:\n  {reason}")
            by_name = {name.lower(): value for name, value in key.items()}
            is_keyed = operation != "insert" and self._is_direct
            row_key = {name: by_name[name.lower()] for name in self._direct_key} if is_keyed else {}
            yield PlannedRow(
                number,
                operation,
                values if written else {},
                row_key,
                identity=identity_of(by_name),
                content=_digest({**key, **values}),
            )

    def _differs(self, row: PlannedRow) -> bool:
        """Whether a row is to be written: always without ``delta``."""
        known = self._written.get(row.identity)
        if known is None:
            return True
        if not known.is_known and row.action == "insert":
            self._remark_unknown(known)
            return False
        return not self._command.delta or known.content != row.content

    def _remark_unknown(self, known: WrittenRow) -> None:
        text = (
            f"rows that are unknown since write {known.write} are left out: retry write {known.write} unknown"
        )
        if text not in self._remarks:
            self._remarks.append(text)

    # Rows of the target

    def _match(self, query: QueryRunner, max_age: MaxAge, rows: Sequence[PlannedRow]) -> list[PlannedRow]:
        """Find the stored rows that rows mean, where the API identifies them by other columns."""
        if not rows or self._mode == "insert" or self._is_direct:
            return list(rows)
        matches = self._find_matches(query, max_age, rows)
        found: list[PlannedRow] = []
        unmatched = 0
        for row in rows:
            known = self._written.get(row.identity)
            match = matches.get(row.number)
            if match is not None:
                found.append(self._as_update(row, match.key, match.before))
            elif known is not None and not known.is_known:
                self._remark_unknown(known)
            elif known is not None and set(self._spec.key) <= set(known.key):
                found.append(self._as_update(row, known.key, None))
            elif self._mode == "update":
                unmatched += 1
            else:
                found.append(
                    replace(
                        row, action="insert", values=allowed_values(self._spec, row.values, "insert"), key={}
                    )
                )
        if unmatched:
            self._remarks.append(f"{format_count(unmatched, 'row')} of the source are not in {self._target}")
        return found

    def _as_update(self, row: PlannedRow, key: Values, before: Values | None) -> PlannedRow:
        own_key = {name: key[name] for name in self._spec.key}
        values = allowed_values(self._spec, row.values, "update")
        return replace(row, action="update", values=values, key=own_key, before=before)

    def _find_matches(
        self, query: QueryRunner, max_age: MaxAge, rows: Sequence[PlannedRow]
    ) -> Mapping[int, _Match]:
        """Return the stored rows by the number of the row that has their key."""
        target = f"{quoted(self._target.schema)}.{quoted(self._target.table)}"
        query.prepare(f"SELECT 1 FROM {target}", max_age)
        stored = {column.name.lower() for column in catalog.table_columns(query.lake, self._target)}
        missing = [name for name in (*self._key, *self._spec.key) if name.lower() not in stored]
        if stored and missing:
            if query.lake.read(f"SELECT 1 FROM lake.{target} LIMIT 1"):
                self._require_readable(query, missing)
            return {}  # no row has had these columns yet
        numbers = {row.number for row in rows}
        wanted = [f"{quoted(name)} AS {quoted(_KEY_PREFIX + name)}" for name in self._key]
        numbered = f"SELECT {', '.join(wanted)}, rowid + 1 AS {quoted(_NUMBER)} FROM {SOURCE_TABLE}"
        conditions = [f"stored.{quoted(name)} = wanted.{quoted(_KEY_PREFIX + name)}" for name in self._key]
        keys = [f"stored.{quoted(name)} AS {quoted(name)}" for name in self._spec.key]
        sql = (
            f"SELECT wanted.{quoted(_NUMBER)} AS {quoted(_NUMBER)}, {', '.join(keys)}, "
            f"stored.{quoted(STORED_ROW)} AS {quoted(STORED_ROW)} FROM ({numbered}) AS wanted "
            f"JOIN {target_sql(self._target)} AS stored ON {' AND '.join(conditions)}"
        )
        found: dict[int, _Match] = {}
        with open_rows(query, sql, max_age, MAX_SOURCE_ROWS, name=MATCH_TABLE) as table:
            objects = (
                table.object_of(columns=[_NUMBER]),
                table.object_of(columns=list(self._spec.key)),
                table.stored_row(),
            )
            for number, key, before in table.rows(*objects):
                row = number[_NUMBER]
                assert isinstance(row, int)
                if row in found and row in numbers:
                    raise QueryError(
                        f"{self._target}: nothing was sent:\n  row {row}: several stored rows have its "
                        f"{', '.join(self._key)}"
                    )
                found[row] = _Match(key, before)
        return found

    def _require_readable(self, query: QueryRunner, columns: Sequence[str]) -> None:
        """Refuse keys that are not read back: each export would insert its rows again."""
        read = {column.name.lower() for column in query.connections.table(self._target).columns}
        if unread := [name for name in columns if name.lower() not in read]:
            raise QueryError(
                f"{self._target}: nothing was sent: no row that was read has a column {unread[0]}, so rows "
                f"cannot be found by it; name a column of describe {self._target} after by, or use insert"
            )

    # Rows that are gone from the source

    def _leaving_rows(
        self, query: QueryRunner, identities: set[str], count: int, rows: Sequence[PlannedRow]
    ) -> list[PlannedRow]:
        gone = self._gone_action()
        if gone == "nothing":
            return []
        left = [row for identity, row in self._written.items() if identity not in identities and row.is_known]
        if self._command.adopt and count:
            others, self._adopted = read_other_rows(query, self._target, self._spec, self._key, self._written)
            left += others
        if not left:
            return []
        stay = (row for identity, row in self._written.items() if identity in identities)
        leaving = LeavingRows(
            self._spec,
            gone,
            self._key,
            identities=identities,
            own_keys=[*(row.key for row in rows), *(row.key for row in stay)],
            remarks=self._remarks,
        )
        return list(leaving.plan(left, count + 1))

    def _gone_action(self) -> GoneRows:
        gone = self._command.gone or ("delete" if self._mode == "mirror" else "nothing")
        if gone == "delete":
            row_checks.check_operation(self._target, self._spec, "delete")
        elif self._command.adopt:
            raise QueryError("adopt is for mirror and when gone delete: only they delete rows of others")
        elif gone == "clear" and self._spec.update is None:
            row_checks.check_operation(self._target, self._spec, "upsert")
        return gone


def export_name(command: ExportRows, target: TableName) -> str:
    """The name under which rows are tracked; "" if nothing needs it."""
    is_tracked = command.delta or command.mode == "mirror" or command.gone not in (None, "nothing")
    return command.name or (str(target) if is_tracked else "")


def _resolve_mode(command: ExportRows, target: TableName) -> str:
    match command.mode:
        case "append":
            return "insert"
        case "merge":
            return "upsert"
        case "replace":
            raise QueryError(
                f"{target}: the rows of an API cannot be replaced as a whole; mirror by KEY deletes those "
                "that are gone"
            )
        case None:
            return "upsert" if command.key else "insert"
        case mode:
            return mode


def _digest(values: Values) -> str:
    text = encode_values(dict(sorted(values.items())))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
