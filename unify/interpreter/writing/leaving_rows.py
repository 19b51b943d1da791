"""Which rows of the target an export deletes or clears because they are gone from its source.

A row is removed only if nothing says that it lives: its key must not be that of a row of the source, whatever
its type and case, and the API's own key must not be one of a row that stays.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation

from unify.adapters.spec.write import WriteOperation, WriteSpec
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError
from unify.interpreter.freshness import MaxAge
from unify.interpreter.query.query import QueryRunner
from unify.interpreter.writing.rows_to_write import MATCH_TABLE, STORED_ROW, Values, open_rows, target_sql
from unify.language.commands import GoneRows
from unify.model import PlannedRow, TableName
from unify.text import format_count
from unify.writes.records import WrittenRow, encode_values

MAX_TARGET_ROWS = 1_000_000
_PAST: Mapping[GoneRows, str] = {"delete": "deleted", "clear": "cleared", "nothing": "changed"}


class LeavingRows:
    """Plans the rows that leave the target.

    ``key``         columns that identify a row of the source.
    ``identities``  of the rows of the source, as JSON texts of their key.
    ``own_keys``    of the rows that stay, as the API identifies them.
    ``remarks``     receives why rows are left.
    """

    def __init__(
        self,
        spec: WriteSpec,
        gone: GoneRows,
        key: Sequence[str],
        *,
        identities: Iterable[str],
        own_keys: Iterable[Values],
        remarks: list[str],
    ) -> None:
        self._spec = spec
        self._gone = gone
        self._key = {name.lower() for name in key}
        self._living = {_comparable(json.loads(identity)) for identity in identities}
        self._own_keys = {
            _comparable({name: own[name] for name in spec.key})
            for own in own_keys
            if set(spec.key) <= own.keys()
        }
        self._remarks = remarks

    def plan(self, rows: Iterable[WrittenRow], first: int) -> Iterator[PlannedRow]:
        """Yield what removes ``rows``, numbered from ``first``, and remark those that stay."""
        if not self._living:
            self._remarks.append(f"the source is empty: no row is {_PAST[self._gone]}")
            return
        left: list[str] = []
        number = first
        for row in rows:
            identity = json.loads(row.identity)
            if not set(self._spec.key) <= row.key.keys():
                self._remarks.append(f"the {', '.join(self._spec.key)} of {row.identity} is not known")
            elif self._may_live(identity, row):
                left.append(row.identity)
            else:
                yield self._leave(number, row)
                number += 1
        if left:
            self._remarks.append(
                f"{format_count(len(left), 'row')} may be among those of the source under another key, and "
                f"{'is' if len(left) == 1 else 'are'} not {_PAST[self._gone]}: {left[0]}"
            )

    def _may_live(self, identity: Mapping[str, object], row: WrittenRow) -> bool:
        if identity.keys() != self._key:
            return True  # written by another key: nothing tells which rows of the source these are
        own = {name: row.key[name] for name in self._spec.key}
        return _comparable(identity) in self._living or _comparable(own) in self._own_keys

    def _leave(self, number: int, row: WrittenRow) -> PlannedRow:
        key = {name: row.key[name] for name in self._spec.key}
        if self._gone == "delete":
            return PlannedRow(number, "delete", {}, key, row.values, identity=row.identity, leaves=True)
        operation: WriteOperation = "upsert" if self._spec.update is None else "update"
        names = {*self._key, *(name.lower() for name in self._spec.key)}
        cleared = {name: None for name in row.values if name.lower() not in names}
        values = allowed_values(self._spec, cleared, operation)
        return PlannedRow(number, operation, values, key, row.values, identity=row.identity, leaves=True)


def read_other_rows(
    query: QueryRunner,
    target: TableName,
    spec: WriteSpec,
    key: Sequence[str],
    written: Mapping[str, WrittenRow],
) -> tuple[list[WrittenRow], int]:
    """Return the rows of the target that are not ``written``, as they are now, and how many it has at all."""
    chosen = [f"stored.{quoted(name)} AS {quoted(name)}" for name in dict.fromkeys([*key, *spec.key])]
    stored = quoted(STORED_ROW)
    sql = f"SELECT {', '.join(chosen)}, stored.{stored} AS {stored} FROM {target_sql(target)} AS stored"
    known = {encode_values(row.key) for row in written.values()}
    others: list[WrittenRow] = []
    count = 0
    with open_rows(query, sql, MaxAge(limit_s=0), MAX_TARGET_ROWS + 1, name=MATCH_TABLE) as table:
        objects = (table.object_of(columns=list(key)), table.object_of(columns=list(spec.key)))
        for by, own, values in table.rows(*objects, table.stored_row()):
            count += 1
            if (own_key := encode_values(own)) not in known:
                identity = identity_of({name.lower(): value for name, value in by.items()})
                others.append(WrittenRow(identity, encode_values(values), own_key, "", 0, True))
    if count > MAX_TARGET_ROWS:
        raise QueryError(
            f"{target}: it has more than {format_count(MAX_TARGET_ROWS, 'row')}, too many to adopt"
        )
    return others, count


def identity_of(key: Values) -> str:
    """The text by which a row of an export is known."""
    return json.dumps(dict(key), sort_keys=True, default=str)


def allowed_values(spec: WriteSpec, values: Values, operation: WriteOperation) -> Values:
    """Leave out the columns that only the other operation may set."""
    columns = {name: spec.column(name) for name in values}
    return {
        name: values[name]
        for name, column in columns.items()
        if column is None or column.is_allowed_in(operation)
    }


def _comparable(key: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """A key without the differences that systems ignore: case, white space around it, number or text."""
    return tuple(sorted((name.lower(), _comparable_text(value)) for name, value in key.items()))


def _comparable_text(value: object) -> str:
    if isinstance(value, bool | dict | list) or value is None:
        return json.dumps(value, sort_keys=True, default=str)
    text = unicodedata.normalize("NFKC", str(value)).casefold().strip()
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return str(number.normalize() + 0) if number.is_finite() else text  # + 0: -0 is 0
