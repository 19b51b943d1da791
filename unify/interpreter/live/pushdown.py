"""From what a statement says of a live table to the requests that answer it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

from unify.adapters.rest.pushdown import filter_value, supports_operator
from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError
from unify.interpreter.live.requests import LiveRead, LiveRequest, parent_columns
from unify.interpreter.results import Watcher
from unify.lake import lake as lake_lake
from unify.lake.lake import Lake
from unify.language.sql.predicates import Condition
from unify.language.sql.refs import Constant
from unify.language.sql.rewrite import MentionJoin, StatementMentions, TableMention
from unify.model import TableName

if TYPE_CHECKING:
    from unify.adapters.spec.model import Filter, TableSpec

MAX_BATCH_VALUES = (
    50  # values in one request, where the API takes several: addresses stay below 2,000 characters
)
MAX_REQUESTS = 1000  # of one table in one statement
_OPERATOR_PREFERENCE = ("=", "in", ">", ">=", "<", "<=", "like")
_NUMERIC_TYPES = ("BIGINT", "DOUBLE")


@dataclass(frozen=True, slots=True)
class LiveTableRef:
    """A live table at one place of a statement."""

    number: int
    name: TableName
    table: TableSpec


class PushdownPlanner:
    """Decides what is asked. Only values that a join supplies need a query of their own."""

    def __init__(self, lake: Lake, watcher: Watcher) -> None:
        self.lake = lake
        self.watcher = watcher

    def next_table(self, statement: StatementMentions, pending: Sequence[LiveTableRef]) -> LiveTableRef:
        """One that can be asked for now. Raises QueryError, with an example, if a filter is missing."""
        waiting = {one.number for one in pending}
        for one in pending:
            mention = statement.mentions[one.number]
            missing = _missing_filters(mention, one.table)
            if all(_join_for_filter(mention, each, waiting) is not None for each in missing):
                return one
        raise QueryError(_missing_filter_message(pending[0], statement.mentions[pending[0].number]))

    def plan_requests(
        self, statement: StatementMentions, table_ref: LiveTableRef, names: Mapping[int, str]
    ) -> Sequence[LiveRequest]:
        """What to ask for, so that every row the statement can use is among the answers.

        ``names``  the relations that stand for other mentions by now.
        Raises     QueryError for more than MAX_REQUESTS.
        """
        mention = statement.mentions[table_ref.number]
        factors = self._join_requests(statement, table_ref, names)
        for each in table_ref.table.filters:
            found = _filter_requests(each, mention, table_ref.table)
            if found is not None:
                factors.append(found)
        total = 1
        for factor in factors:
            total *= len(factor)
        if total > MAX_REQUESTS:
            raise QueryError(
                f"{table_ref.name} would be asked {total:,} times, and {MAX_REQUESTS:,} is the most in one statement; "
                "narrow the query, or ask in several"
            )
        if total > 1:
            columns = ", ".join(
                sorted({column for factor in factors if len(factor) > 1 for column in factor[0].filters})
            )
            self._notify(f"{table_ref.name} is asked {total:,} times, for different values of {columns}")
        return [_merge_requests(parts) for parts in product(*factors)]

    def limit_parents(self, table_ref: LiveTableRef, live_read: LiveRead) -> LiveRead:
        """``wanted``, or as many of its parents as one statement may ask for where a limit may be met sooner.

        Says how often the table is asked because of its parents. Raises QueryError for more than MAX_REQUESTS.
        """
        requests = _count_requests(table_ref, live_read)
        if live_read.parents is None or requests <= MAX_REQUESTS:
            if live_read.parents is not None and requests > len(live_read.requests):
                most = "up to " if live_read.limit is not None else ""
                self._notify(
                    f"{table_ref.name} is asked {most}{requests:,} times, for each row of its for_each"
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
        """What joined tables supply: of one table, the distinct combinations of its values."""
        mention = statement.mentions[table_ref.number]
        found: dict[int, list[tuple[Filter, MentionJoin]]] = {}
        for each in _missing_filters(mention, table_ref.table):
            link = _join_for_filter(mention, each, ())
            assert link is not None  # else it would not be this table's turn
            found.setdefault(link.other, []).append((each, link))
        factors: list[Sequence[LiveRequest]] = []
        for other, links in found.items():
            rows = self._join_values(statement, other, [link.other_column for _, link in links], names)
            factors.append(list(_requests_for_values(rows, [each for each, _ in links], table_ref.table)))
        return factors

    def _join_values(
        self, statement: StatementMentions, other: int, columns: Sequence[str], names: Mapping[int, str]
    ) -> Sequence[tuple[Constant, ...]]:
        """The distinct values of another table's columns, narrowed by the constants asked of it."""
        mention = statement.mentions[other]
        relation = names.get(other) or statement.sql[mention.start : mention.end]
        chosen = ", ".join(
            f"CAST({quoted(column)} AS VARCHAR), typeof({quoted(column)})" for column in columns
        )
        wanted = [f"{quoted(column)} IS NOT NULL" for column in columns]
        wanted += [_condition_sql(condition) for condition in mention.conditions]
        sql = f"SELECT DISTINCT {chosen} FROM {relation} WHERE {' AND '.join(wanted)} ORDER BY ALL"
        rows = lake_lake.fetch_session_rows(self.lake, sql)
        return [
            tuple(Constant(str(row[place]), str(row[place + 1])) for place in range(0, len(row), 2))
            for row in rows
        ]

    def _notify(self, text: str) -> None:
        self.watcher.notice(text)


def _count_requests(table_ref: LiveTableRef, live_read: LiveRead) -> int:
    """How often the table is asked, further pages aside."""
    each = table_ref.table.for_each
    parents = len(live_read.parents) if live_read.parents is not None else 1
    batch = each.batch if each is not None and each.batch is not None else 1
    return len(live_read.requests) * -(-parents // batch)


def too_many_requests_message(table_ref: LiveTableRef, live_read: LiveRead) -> str:
    """The sentence for a statement that would ask more often than one may."""
    columns = parent_columns(table_ref.table)
    narrow = f": where {columns[0]} = '...'" if columns else ", or ask in several"
    return (
        f"{table_ref.name} would be asked {_count_requests(table_ref, live_read):,} times, for each row of its for_each, and "
        f"{MAX_REQUESTS:,} is the most in one statement; narrow the query{narrow}"
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
    """How the constants for one filter are asked for; None where they cannot be."""
    conditions = [one for one in mention.conditions if one.column == each.column.lower()]
    for condition in sorted(conditions, key=lambda one: _OPERATOR_PREFERENCE.index(one.operator)):
        if condition.operator in ("=", "in"):
            found = list(_requests_for_values([(value,) for value in condition.values], [each], table))
            if found and supports_operator(each, "="):
                return found
        elif supports_operator(each, condition.operator):
            [value] = condition.values
            asked = _filter_value(each, condition.operator, value, table)
            if asked is not None:
                return [LiveRequest({each.name: asked}, {each.column: None})]
    return None


def _requests_for_values(
    rows: Sequence[tuple[Constant, ...]], filters: Sequence[Filter], table: TableSpec
) -> Iterator[LiveRequest]:
    """Asks for rows of values, one for each filter: several values at once where the API takes them.

    Nothing, if one of the values cannot be asked for.
    """
    asked = [
        tuple(_filter_value(each, "=", value, table) for each, value in zip(filters, row, strict=True))
        for row in rows
    ]
    if any(text is None for texts in asked for text in texts):
        return
    plain = [tuple(text for text in texts if text is not None) for texts in asked]
    if len(filters) == 1 and "in" in filters[0].ops and not any("," in texts[0] for texts in plain):
        [each] = filters
        for start in range(0, len(rows), MAX_BATCH_VALUES):
            here = rows[start : start + MAX_BATCH_VALUES]
            values = ",".join(texts[0] for texts in plain[start : start + MAX_BATCH_VALUES])
            yield LiveRequest({each.name: values}, {each.column: here[0][0] if len(here) == 1 else None})
        return
    for row, texts in zip(rows, plain, strict=True):
        names = [each.name for each in filters]
        columns = [each.column for each in filters]
        yield LiveRequest(dict(zip(names, texts, strict=True)), dict(zip(columns, row, strict=True)))


def _filter_value(each: Filter, operator: str, value: Constant, table: TableSpec) -> str | None:
    declared = (
        next((one.type for one in table.columns if one.name.lower() == each.column.lower()), None) or ""
    )
    kinds = f"{value.type} {declared}".upper()
    return filter_value(each, operator, value.text, is_moment="TIMESTAMP" in kinds or "DATE" in kinds)


def _merge_requests(requests: Sequence[LiveRequest]) -> LiveRequest:
    filters = {name: text for ask in requests for name, text in ask.filters.items()}
    given: dict[str, Constant | None] = {}
    for ask in requests:
        given |= {column: value or given.get(column) for column, value in ask.column_values.items()}
    return LiveRequest(filters, given)


def _condition_sql(condition: Condition) -> str:
    """SQL of a condition, its values as they were written."""
    column = quoted(condition.column)
    values = [_constant_sql(value) for value in condition.values]
    if condition.operator == "in":
        return f"{column} IN ({', '.join(values)})"
    return f"{column} {condition.operator.upper()} {values[0]}"


def _constant_sql(value: Constant) -> str:
    if value.type == "VARCHAR":
        return quote_literal(value.text)
    if value.type in _NUMERIC_TYPES:
        return value.text  # digits, as the statement has them
    return f"CAST({quote_literal(value.text)} AS {value.type})"


def _missing_filter_message(table_ref: LiveTableRef, mention: TableMention) -> str:
    """What is missing, with an example that can be typed."""
    required = [each for each in table_ref.table.filters if each.required]
    said = {condition.column for condition in mention.conditions}
    tried = [
        each.column for each in _missing_filters(mention, table_ref.table) if each.column.lower() in said
    ]
    hint = ""
    if tried:
        allowed = "; ".join(
            f"{each.column} takes {', '.join(each.ops)}" for each in required if each.column in tried
        )
        hint = f" ({allowed})"
    return required_filters_message(table_ref.name, table_ref.table) + hint


def required_filters_message(name: TableName, table: TableSpec) -> str:
    """Which filters a live table cannot do without, as an example that can be typed."""
    example = " and ".join(
        f"{each.column} {'=' if supports_operator(each, '=') else each.ops[0]} '...'"
        for each in table.filters
        if each.required
    )
    return f"{name} is asked live and needs a filter: select * from {name} where {example}"
