"""From what a statement says of a live table to the requests that answer it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

from unify.adapters.filtered import accepted, asked_value
from unify.errors import QueryError
from unify.interpreter.liveasks import Ask, Wanted
from unify.interpreter.liveparents import telling_columns
from unify.interpreter.results import Watcher
from unify.language.constants import Constant
from unify.language.filters import Condition
from unify.language.mentions import Joined, Mention, Statement
from unify.model import TableName
from unify.store import session
from unify.store.duck import literal, quoted
from unify.store.lake import Lake

if TYPE_CHECKING:
    from unify.adapters.spec import Filter, TableSpec

BATCH = 50  # values in one request, where the API takes several: addresses stay below 2,000 characters
MOST_ASKS = 1000  # of one table in one statement
_PREFERRED = ("=", "in", ">", ">=", "<", "<=", "like")
_EXACT_NUMBERS = ("BIGINT", "DOUBLE")


@dataclass(frozen=True, slots=True)
class LiveMention:
    """A live table at one place of a statement."""

    number: int
    name: TableName
    table: TableSpec


class Planner:
    """Decides what is asked. Only values that a join supplies need a query of their own."""

    def __init__(self, lake: Lake, watcher: Watcher) -> None:
        self.lake = lake
        self.watcher = watcher

    def next(self, statement: Statement, pending: Sequence[LiveMention]) -> LiveMention:
        """One that can be asked for now. Raises QueryError, with an example, if a filter is missing."""
        waiting = {one.number for one in pending}
        for one in pending:
            mention = statement.mentions[one.number]
            missing = _missing(mention, one.table)
            if all(_link(mention, each, waiting) is not None for each in missing):
                return one
        raise QueryError(_needs(pending[0], statement.mentions[pending[0].number]))

    def asks(self, statement: Statement, one: LiveMention, names: Mapping[int, str]) -> Sequence[Ask]:
        """What to ask for, so that every row the statement can use is among the answers.

        ``names``  the relations that stand for other mentions by now.
        Raises     QueryError for more than MOST_ASKS.
        """
        mention = statement.mentions[one.number]
        factors = self._linked(statement, one, names)
        for each in one.table.filters:
            found = _choice(each, mention, one.table)
            if found is not None:
                factors.append(found)
        total = 1
        for factor in factors:
            total *= len(factor)
        if total > MOST_ASKS:
            raise QueryError(
                f"{one.name} would be asked {total:,} times, and {MOST_ASKS:,} is the most in one statement; "
                "narrow the query, or ask in several"
            )
        if total > 1:
            columns = ", ".join(
                sorted({column for factor in factors if len(factor) > 1 for column in factor[0].filters})
            )
            self._tell(f"{one.name} is asked {total:,} times, for different values of {columns}")
        return [_merged(parts) for parts in product(*factors)]

    def bounded(self, one: LiveMention, wanted: Wanted) -> Wanted:
        """``wanted``, or as many of its parents as one statement may ask for where a limit may be met sooner.

        Says how often the table is asked because of its parents. Raises QueryError for more than MOST_ASKS.
        """
        requests = _requests(one, wanted)
        if wanted.parents is None or requests <= MOST_ASKS:
            if wanted.parents is not None and requests > len(wanted.asks):
                most = "up to " if wanted.limit is not None else ""
                self._tell(f"{one.name} is asked {most}{requests:,} times, for each row of its for_each")
            return wanted
        if wanted.limit is None:
            raise QueryError(too_many(one, wanted))
        return replace(wanted, parents=wanted.parents[: max(1, MOST_ASKS // len(wanted.asks))])

    def _linked(
        self, statement: Statement, one: LiveMention, names: Mapping[int, str]
    ) -> list[Sequence[Ask]]:
        """What joined tables supply: of one table, the distinct combinations of its values."""
        mention = statement.mentions[one.number]
        found: dict[int, list[tuple[Filter, Joined]]] = {}
        for each in _missing(mention, one.table):
            link = _link(mention, each, ())
            assert link is not None  # else it would not be this table's turn
            found.setdefault(link.other, []).append((each, link))
        factors: list[Sequence[Ask]] = []
        for other, links in found.items():
            rows = self._values(statement, other, [link.other_column for _, link in links], names)
            factors.append(list(_asks_for(rows, [each for each, _ in links], one.table)))
        return factors

    def _values(
        self, statement: Statement, other: int, columns: Sequence[str], names: Mapping[int, str]
    ) -> Sequence[tuple[Constant, ...]]:
        """The distinct values of another table's columns, narrowed by the constants asked of it."""
        mention = statement.mentions[other]
        relation = names.get(other) or statement.sql[mention.start : mention.end]
        chosen = ", ".join(
            f"CAST({quoted(column)} AS VARCHAR), typeof({quoted(column)})" for column in columns
        )
        wanted = [f"{quoted(column)} IS NOT NULL" for column in columns]
        wanted += [_condition(condition) for condition in mention.conditions]
        sql = f"SELECT DISTINCT {chosen} FROM {relation} WHERE {' AND '.join(wanted)} ORDER BY ALL"
        rows = session.fetch(self.lake, sql)
        return [
            tuple(Constant(str(row[place]), str(row[place + 1])) for place in range(0, len(row), 2))
            for row in rows
        ]

    def _tell(self, text: str) -> None:
        self.watcher.notice(text)


def _requests(one: LiveMention, wanted: Wanted) -> int:
    """How often the table is asked, further pages aside."""
    each = one.table.for_each
    parents = len(wanted.parents) if wanted.parents is not None else 1
    batch = each.batch if each is not None and each.batch is not None else 1
    return len(wanted.asks) * -(-parents // batch)


def too_many(one: LiveMention, wanted: Wanted) -> str:
    """The sentence for a statement that would ask more often than one may."""
    columns = telling_columns(one.table)
    narrow = f": where {columns[0]} = '...'" if columns else ", or ask in several"
    return (
        f"{one.name} would be asked {_requests(one, wanted):,} times, for each row of its for_each, and "
        f"{MOST_ASKS:,} is the most in one statement; narrow the query{narrow}"
    )


def _missing(mention: Mention, table: TableSpec) -> list[Filter]:
    return [each for each in table.filters if each.required and _choice(each, mention, table) is None]


def _link(mention: Mention, each: Filter, waiting: Sequence[int] | set[int]) -> Joined | None:
    return next(
        (
            link
            for link in mention.joined
            if link.column == each.column.lower() and link.other not in waiting and accepted(each, "=")
        ),
        None,
    )


def _choice(each: Filter, mention: Mention, table: TableSpec) -> Sequence[Ask] | None:
    """How the constants for one filter are asked for; None where they cannot be."""
    conditions = [one for one in mention.conditions if one.column == each.column.lower()]
    for condition in sorted(conditions, key=lambda one: _PREFERRED.index(one.operator)):
        if condition.operator in ("=", "in"):
            found = list(_asks_for([(value,) for value in condition.values], [each], table))
            if found and accepted(each, "="):
                return found
        elif accepted(each, condition.operator):
            [value] = condition.values
            asked = _asked(each, condition.operator, value, table)
            if asked is not None:
                return [Ask({each.name: asked}, {each.column: None})]
    return None


def _asks_for(
    rows: Sequence[tuple[Constant, ...]], filters: Sequence[Filter], table: TableSpec
) -> Iterator[Ask]:
    """Asks for rows of values, one for each filter: several values at once where the API takes them.

    Nothing, if one of the values cannot be asked for.
    """
    asked = [
        tuple(_asked(each, "=", value, table) for each, value in zip(filters, row, strict=True))
        for row in rows
    ]
    if any(text is None for texts in asked for text in texts):
        return
    plain = [tuple(text for text in texts if text is not None) for texts in asked]
    if len(filters) == 1 and "in" in filters[0].ops and not any("," in texts[0] for texts in plain):
        [each] = filters
        for start in range(0, len(rows), BATCH):
            here = rows[start : start + BATCH]
            values = ",".join(texts[0] for texts in plain[start : start + BATCH])
            yield Ask({each.name: values}, {each.column: here[0][0] if len(here) == 1 else None})
        return
    for row, texts in zip(rows, plain, strict=True):
        names = [each.name for each in filters]
        columns = [each.column for each in filters]
        yield Ask(dict(zip(names, texts, strict=True)), dict(zip(columns, row, strict=True)))


def _asked(each: Filter, operator: str, value: Constant, table: TableSpec) -> str | None:
    declared = (
        next((one.type for one in table.columns if one.name.lower() == each.column.lower()), None) or ""
    )
    kinds = f"{value.type} {declared}".upper()
    return asked_value(each, operator, value.text, is_moment="TIMESTAMP" in kinds or "DATE" in kinds)


def _merged(asks: Sequence[Ask]) -> Ask:
    filters = {name: text for ask in asks for name, text in ask.filters.items()}
    given: dict[str, Constant | None] = {}
    for ask in asks:
        given |= {column: value or given.get(column) for column, value in ask.given.items()}
    return Ask(filters, given)


def _condition(condition: Condition) -> str:
    """SQL of a condition, its values as they were written."""
    column = quoted(condition.column)
    values = [_sql(value) for value in condition.values]
    if condition.operator == "in":
        return f"{column} IN ({', '.join(values)})"
    return f"{column} {condition.operator.upper()} {values[0]}"


def _sql(value: Constant) -> str:
    if value.type == "VARCHAR":
        return literal(value.text)
    if value.type in _EXACT_NUMBERS:
        return value.text  # digits, as the statement has them
    return f"CAST({literal(value.text)} AS {value.type})"


def _needs(one: LiveMention, mention: Mention) -> str:
    """What is missing, with an example that can be typed."""
    required = [each for each in one.table.filters if each.required]
    said = {condition.column for condition in mention.conditions}
    tried = [each.column for each in _missing(mention, one.table) if each.column.lower() in said]
    hint = ""
    if tried:
        allowed = "; ".join(
            f"{each.column} takes {', '.join(each.ops)}" for each in required if each.column in tried
        )
        hint = f" ({allowed})"
    return needed(one.name, one.table) + hint


def needed(name: TableName, table: TableSpec) -> str:
    """Which filters a live table cannot do without, as an example that can be typed."""
    example = " and ".join(
        f"{each.column} {'=' if accepted(each, '=') else each.ops[0]} '...'"
        for each in table.filters
        if each.required
    )
    return f"{name} is asked live and needs a filter: select * from {name} where {example}"
