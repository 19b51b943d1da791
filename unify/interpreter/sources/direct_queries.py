"""``query('shop', 'select …')`` in FROM: a statement that the database itself runs, read-only.

Both arguments are constants, and no variable is replaced in them: values are never put into the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from unify.errors import QueryError
from unify.interpreter.sources.source_views import SourceViews
from unify.language.sql.analysis import analyse
from unify.language.tokenizer import SqlToken, TokenKind, unquote


class DirectQuery(NamedTuple):
    """A call: its place in the statement, the connection and the SQL."""

    start: int
    end: int
    connection: str
    sql: str


def replace_direct_queries(sql: str, views: SourceViews) -> str:
    """Return ``sql`` with each call replaced by a view of the rows.

    Raises QueryError if the source refuses the SQL, or in a view, macro or prepared statement.
    """
    calls = list(find_direct_queries(analyse(sql).tokens))
    if calls and analyse(sql).is_lasting:
        raise QueryError(
            "query('CONNECTION', 'SQL') runs when a statement does, and cannot be part of a view, macro or "
            "prepared statement; keep its rows: create table t as select * from query(…)"
        )
    for call in reversed(calls):
        sql = f"{sql[: call.start]}{_create_view(call, views)}{sql[call.end :]}"
    return sql


def find_direct_queries(tokens: Sequence[SqlToken]) -> Iterator[DirectQuery]:
    """Yield the calls with two constants. With one, query(…) is a function of DuckDB."""
    for position, token in enumerate(tokens):
        call = tokens[position : position + 6]
        texts = [one.text for one in call]
        is_call = token.keyword == "query" and texts[1::2] == ["(", ",", ")"]
        if is_call and call[2].kind is call[4].kind is TokenKind.STRING:
            yield DirectQuery(token.start, call[5].end, unquote(call[2].text), unquote(call[4].text))


def _create_view(call: DirectQuery, views: SourceViews) -> str:
    connection = views.tables.connections.connection(call.connection)
    if not views.tables.connections.is_relational(connection.name):
        raise QueryError(
            f"query: {connection.name} is not a database; its tables are read with select … from "
            f"{connection.name}.TABLE"
        )
    with views.tables.sources.use(connection.name) as (adapter, duck):
        views.tables.sources.in_use.add(connection.name)
        relation = adapter.query(duck, call.sql)
    views.register_streams(relation)
    return views.create_view(relation.sql, f"query of {connection.name}")
