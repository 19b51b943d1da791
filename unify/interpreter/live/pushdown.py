"""Plans the requests for a live table from the conditions and joins of a statement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING

from unify.adapters.rest.pushdown import filter_value, supports_operator
from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError
from unify.interpreter.live.requests import LiveRead, LiveRequest, parent_columns
from unify.interpreter.results import Watcher
from unify.lake import session_rows
from unify.lake.lake import Lake
from unify.language.sql.refs import Condition, Constant
from unify.language.sql.rewrite import MentionJoin, StatementMentions, TableMention
from unify.model import TableName

if TYPE_CHECKING:
    from unify.adapters.spec.model import TableSpec
    from unify.adapters.spec.table_keys import Filter

MAX_BATCH_VALUES = 50  # values in one request, if the API accepts several; keeps URLs below 2,000 characters
MAX_REQUESTS = 1000  # for one table in one statement
_OPERATOR_PREFERENCE = ("=", "in", ">", ">=", "<", "<=", "like")
_NUMERIC_TYPES = ("BIGINT", "DOUBLE")


@dataclass(frozen=True, slots=True)
class LiveTableRef:
    """A live table as the mention ``number`` of a statement."""

    number: int
    name: TableName
    table: TableSpec


class PushdownPlanner:
    """Decides which requests to send. Runs a query only for values that a join supplies."""

    def __init__(self, lake: Lake, watcher: Watcher) -> None:
        self.lake = lake
        self.watcher = watcher

    def next_table(self, statement: StatementMentions, pending: Sequence[LiveTableRef]) -> LiveTableRef:
        """Return a table whose filters are known. Raises QueryError, with an example, if one is missing."""
        pending_numbers = {one.number for one in pending}
        for one in pending:
            mention = statement.mentions[one.number]
            missing = _missing_filters(mention, one.table)
            if all(_join_for_filter(mention, each, pending_numbers) is not None for each in missing):
                return one
        raise QueryError(_missing_filter_message(pending[0], statement.mentions[pending[0].number]))

    def plan_requests(
        self, statement: StatementMentions, table_ref: LiveTableRef, names: Mapping[int, str]
    ) -> Sequence[LiveRequest]:
        """Return requests whose responses contain every row that the statement can use.

        ``names``  relations by the number of the mention that they replace.
        Raises QueryError for more than MAX_REQUESTS.
        """
        mention = statement.mentions[table_ref.number]
        factors = self._join_requests(statement, table_ref, names)
        for each in table_ref.table.filters:
            requests = _filter_requests(each, mention, table_ref.table)
            if requests is not None:
                factors.append(requests)
        total = prod(map(len, factors))
        if total > MAX_REQUESTS:
            raise QueryError(
                f"{table_ref.name}: the statement needs {total:,} requests, more than {MAX_REQUESTS:,}; "
                "narrow the query, or split it"
            )
        if total > 1:
            columns = ", ".join(
                sorted({column for factor in factors if len(factor) > 1 for column in factor[0].filters})
            )
            self._notify(f"{table_ref.name}: sending {total:,} requests, for different values of {columns}")
        return [_merge_requests(parts) for parts in product(*factors)]

    def limit_parents(self, table_ref: LiveTableRef, live_read: LiveRead) -> LiveRead:
        """Return ``live_read`` with at most MAX_REQUESTS requests, if its limit may be met by fewer.

        Notifies of the number of requests. Raises QueryError for more than MAX_REQUESTS without a limit.
        """
        requests = _count_requests(table_ref, live_read)
        if live_read.parents is None or requests <= MAX_REQUESTS:
            if live_read.parents is not None and requests > len(live_read.requests):
                up_to = "up to " if live_read.limit is not None else ""
                self._notify(
                    f"{table_ref.name}: sending {up_to}{requests:,} requests, one for each row of for_each"
                )
            return live_read
        if live_read.limit is None:
            raise QueryError(too_many_requests_message(table_ref, live_read))
        return replace(
            live_read, parents=live_read.parents[: max(1, MAX_REQUESTS // len(live_read.requests))]
        )

    def _join_requests(
        self, statement: StatementMentions, table_ref: LiveTableRef, names: Mapping[int, str]
    ) -> list[Sequence[LiveRequest]]:
        """Return the requests for values of joined tables: of each, the distinct combinations."""
        mention = statement.mentions[table_ref.number]
        joins: dict[int, list[tuple[Filter, MentionJoin]]] = {}
        for each in _missing_filters(mention, table_ref.table):
            link = _join_for_filter(mention, each, ())
            assert link is not None  # next_table checks it
            joins.setdefault(link.other, []).append((each, link))
        factors: list[Sequence[LiveRequest]] = []
        for other, links in joins.items():
            rows = self._join_values(statement, other, [link.other_column for _, link in links], names)
            factors.append(list(_requests_for_values(rows, [each for each, _ in links], table_ref.table)))
        return factors

    def _join_values(
        self, statement: StatementMentions, other: int, columns: Sequence[str], names: Mapping[int, str]
    ) -> Sequence[tuple[Constant, ...]]:
        """Return the distinct values of another table's columns that meet its conditions."""
        mention = statement.mentions[other]
        relation = names.get(other) or statement.sql[mention.start : mention.end]
        chosen = ", ".join(
            f"CAST({quoted(column)} AS VARCHAR), typeof({quoted(column)})" for column in columns
        )
        conditions = [f"{quoted(column)} IS NOT NULL" for column in columns]
        conditions += [condition_sql(condition) for condition in mention.conditions]
        sql = f"SELECT DISTINCT {chosen} FROM {relation} WHERE {' AND '.join(conditions)} ORDER BY ALL"
        rows = session_rows.fetch_session_rows(self.lake, sql)
        return [
            tuple(Constant(str(row[index]), str(row[index + 1])) for index in range(0, len(row), 2))
            for row in rows
        ]

    def _notify(self, text: str) -> None:
        self.watcher.notice(text)


def _count_requests(table_ref: LiveTableRef, live_read: LiveRead) -> int:
    """Return the number of requests, counting first pages only."""
    each = table_ref.table.for_each
    parents = len(live_read.parents) if live_read.parents is not None else 1
    batch = each.batch if each is not None and each.batch is not None else 1
    return len(live_read.requests) * -(-parents // batch)


def too_many_requests_message(table_ref: LiveTableRef, live_read: LiveRead) -> str:
    """The error message of a statement that needs more than MAX_REQUESTS."""
    columns = parent_columns(table_ref.table)
    narrow = f": where {columns[0]} = '...'" if columns else ", or split it"
    return (
        f"{table_ref.name}: the statement needs {_count_requests(table_ref, live_read):,} requests, for each "
        f"row of its for_each, more than {MAX_REQUESTS:,}; narrow the query{narrow}"
    )


def _missing_filters(mention: TableMention, table: TableSpec) -> list[Filter]:
    return [
        each for each in table.filters if each.required and _filter_requests(each, mention, table) is None
    ]


def _join_for_filter(
    mention: TableMention, each: Filter, pending_numbers: Sequence[int] | set[int]
) -> MentionJoin | None:
    return next(
        (
            link
            for link in mention.joins
            if link.column == each.column.lower()
            and link.other not in pending_numbers
            and supports_operator(each, "=")
        ),
        None,
    )


def _filter_requests(each: Filter, mention: TableMention, table: TableSpec) -> Sequence[LiveRequest] | None:
    """Return the requests for the constants of one filter; None if the API does not support them."""
    conditions = [one for one in mention.conditions if one.column == each.column.lower()]
    for condition in sorted(conditions, key=lambda one: _OPERATOR_PREFERENCE.index(one.operator)):
        if condition.operator in ("=", "in"):
            requests = list(_requests_for_values([(value,) for value in condition.values], [each], table))
            if requests and supports_operator(each, "="):
                return requests
        elif supports_operator(each, condition.operator):
            [value] = condition.values
            text = _filter_value(each, condition.operator, value, table)
            if text is not None:
                return [LiveRequest({each.name: text}, {each.column: None})]
    return None


def _requests_for_values(
    rows: Sequence[tuple[Constant, ...]], filters: Sequence[Filter], table: TableSpec
) -> Iterator[LiveRequest]:
    """Yield requests for rows of values, one value per filter; batched if the API accepts several.

    Empty if the API does not support one of the values.
    """
    values = [
        tuple(_filter_value(each, "=", value, table) for each, value in zip(filters, row, strict=True))
        for row in rows
    ]
    plain = [tuple(text for text in texts if text is not None) for texts in values]
    if plain != values:
        return
    if len(filters) == 1 and "in" in filters[0].ops and not any("," in texts[0] for texts in plain):
        [each] = filters
        for start in range(0, len(rows), MAX_BATCH_VALUES):
            batch = rows[start : start + MAX_BATCH_VALUES]
            joined = ",".join(texts[0] for texts in plain[start : start + MAX_BATCH_VALUES])
            yield LiveRequest({each.name: joined}, {each.column: batch[0][0] if len(batch) == 1 else None})
        return
    for row, texts in zip(rows, plain, strict=True):
        names = [each.name for each in filters]
        columns = [each.column for each in filters]
        yield LiveRequest(dict(zip(names, texts, strict=True)), dict(zip(columns, row, strict=True)))


def _filter_value(each: Filter, operator: str, value: Constant, table: TableSpec) -> str | None:
    declared = (
        next((one.type for one in table.columns if one.name.lower() == each.column.lower()), None) or ""
    )
    types = f"{value.type} {declared}".upper()
    return filter_value(each, operator, value.text, is_moment="TIMESTAMP" in types or "DATE" in types)


def _merge_requests(requests: Sequence[LiveRequest]) -> LiveRequest:
    filters = {name: text for request in requests for name, text in request.filters.items()}
    values: dict[str, Constant | None] = {}
    for request in requests:
        values |= {column: value or values.get(column) for column, value in request.column_values.items()}
    return LiveRequest(filters, values)


def condition_sql(condition: Condition) -> str:
    """Return the SQL of a condition."""
    column = quoted(condition.column)
    values = [_constant_sql(value) for value in condition.values]
    if condition.operator == "in":
        return f"{column} IN ({', '.join(values)})"
    return f"{column} {condition.operator.upper()} {values[0]}"


def _constant_sql(value: Constant) -> str:
    if value.type == "VARCHAR":
        return quote_literal(value.text)
    if value.type in _NUMERIC_TYPES:
        return value.text  # a numeric literal of the statement
    return f"CAST({quote_literal(value.text)} AS {value.type})"


def _missing_filter_message(table_ref: LiveTableRef, mention: TableMention) -> str:
    """Name the missing filters, with an example."""
    required = [each for each in table_ref.table.filters if each.required]
    columns = {condition.column for condition in mention.conditions}
    missing = _missing_filters(mention, table_ref.table)
    unsupported = [each.column for each in missing if each.column.lower() in columns]
    hint = ""
    if unsupported:
        allowed = "; ".join(
            f"{each.column} takes {', '.join(each.ops)}" for each in required if each.column in unsupported
        )
        hint = f" ({allowed})"
    return required_filters_message(table_ref.name, table_ref.table) + hint


def required_filters_message(name: TableName, table: TableSpec) -> str:
    """Name the required filters of a live table by an example."""
    example = " and ".join(
        f"{each.column} {'=' if supports_operator(each, '=') else each.ops[0]} '...'"
        for each in table.filters
        if each.required
    )
    return f"{name} is a live table and needs a filter: select * from {name} where {example}"
