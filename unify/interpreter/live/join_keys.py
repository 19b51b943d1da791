"""Keys of a small table of the lake as a condition on the large table of a database that it is joined with.

A row of the large table with another key is not in the result, so that the database need not send it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError
from unify.interpreter.live.pushdown import condition_sql
from unify.lake import session_rows
from unify.lake.lake import Lake
from unify.language.sql.refs import Condition, Constant
from unify.language.sql.rewrite import MentionJoin, StatementMentions, TableMention

if TYPE_CHECKING:
    from unify.adapters.relation import SourceTable

MAX_KEYS = 1000  # in one condition
MIN_SOURCE_ROWS = 10_000  # a smaller table is read as fast as the keys are found
MAX_LAKE_ROWS = 200_000  # of the small table; to find the keys of more takes longer than they save
_INTEGER_TYPES = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_FAMILIES = {**dict.fromkeys(_INTEGER_TYPES, "integer"), "VARCHAR": "text", "UUID": "uuid", "DATE": "date"}


class JoinKeys:
    """Finds the keys of joined tables. ``lake_relation`` returns a table of the lake in SQL, else None."""

    def __init__(self, lake: Lake, lake_relation: Callable[[StatementMentions, int], str | None]) -> None:
        self.lake = lake
        self._lake_relation = lake_relation

    def conditions(
        self, statement: StatementMentions, mention: TableMention, table: SourceTable
    ) -> Iterator[Condition]:
        """Yield a condition for each join of ``mention``, a table of a database, with a small table."""
        if table.approximate_rows is None or table.approximate_rows < MIN_SOURCE_ROWS:
            return
        types = {column.name.lower(): column.type for column in table.columns}
        for link in mention.joins:
            family = _FAMILIES.get(types.get(link.column, ""))
            relation = self._lake_relation(statement, link.other)
            if family is not None and relation is not None:
                keys = self._keys(relation, link, statement.mentions[link.other].conditions)
                if keys and all(_FAMILIES.get(key.type) == family for key in keys):
                    yield Condition(link.column, "in", tuple(keys))

    def _keys(self, relation: str, link: MentionJoin, conditions: Sequence[Condition]) -> Sequence[Constant]:
        """Return the distinct keys; nothing if there are too many."""
        column = quoted(link.other_column)
        wanted = " AND ".join([f"{column} IS NOT NULL", *map(condition_sql, conditions)])
        try:
            if conditions and self._count(relation) > MAX_LAKE_ROWS:  # they may have to look at every row
                return ()
            found = session_rows.fetch_session_rows(
                self.lake,
                f"SELECT CAST({column} AS VARCHAR), typeof({column}), count(*) "
                f"FROM (SELECT {column} FROM {relation} WHERE {wanted} LIMIT {MAX_LAKE_ROWS + 1}) "
                f"GROUP BY ALL ORDER BY ALL LIMIT {MAX_KEYS + 1}",
            )
        except QueryError:  # the statement itself fails for the same reason, with its own position
            return ()
        if len(found) > MAX_KEYS or sum(int(str(rows)) for *_, rows in found) > MAX_LAKE_ROWS:
            return ()
        return [Constant(str(text), str(type)) for text, type, _ in found]

    def _count(self, relation: str) -> int:
        [[rows]] = session_rows.fetch_session_rows(self.lake, f"SELECT count(*) FROM {relation}")
        return int(str(rows))
