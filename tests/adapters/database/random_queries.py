"""Random SELECTs over one table of orders, and their results live and over a stored copy of the table."""

from __future__ import annotations

import random
from collections.abc import Sequence

import duckdb

from unify.adapters.relation import RelationalAdapter, RelationRead, SortOrder, SourceTable
from unify.engine.types import quote_identifier as quoted
from unify.language.sql.analysis import analyse
from unify.language.sql.rewrite import TableMention

# Constants by kind of column; many are at or beside a value of a row. Each can be cast to the type of the
# column: DuckDB evaluates a cast that fails, or not, by the order of the conditions.
_NUMBERS = ("0", "1", "-1", "7", "7.0", "2.5", "1e2", "100.005", "9007199254740993", "'7'", "'7.5'", "0.1")
_TEXTS = ("'a'", "'A'", "'a '", "''", "'Ä'", "'ab'", "'abc'", "'ß'", "'o''x'", r"'b\c'", "'zz'", "7", "'é'")
_PATTERNS = ("'a%'", "'%b'", "'A%'", "'_b%'", "'ab'", r"'b\%'", "'Ä%'", "'%'", "'ab_'", "''")
_DATES = (
    "'2024-01-10'",
    "date '2024-01-10'",
    "timestamp '2024-01-10 12:00:00'",
    "'infinity'",
)
_TIMES = (*_DATES, "'2024-01-10 12:00:00'", "'2024-01-10 12:00:00.5'", "timestamptz '2024-01-10 12:00:00+02'")
CONSTANTS = {
    "number": _NUMBERS,
    "text": _TEXTS,
    "date": _DATES,
    "time": _TIMES,
    "boolean": ("true", "false", "'true'", "1"),
    "uuid": ("'00000000-0000-0000-0000-000000000007'", "'00000000-0000-0000-0000-00000000000A'"),
}


class QueryGenerator:
    """Writes SELECTs over ``table``; ``columns`` are names and their kinds, keys of CONSTANTS."""

    def __init__(self, seed: int, table: str, columns: dict[str, str]) -> None:
        self._random = random.Random(seed)
        self._table = table
        self._columns = columns

    def query(self) -> str:
        where = f" WHERE {self._condition(2)}" if self._random.random() < 0.9 else ""
        match self._random.randrange(5):
            case 0:
                return f"SELECT count(*) FROM {self._table}{where}"
            case 1:
                column = self._column()
                return f"SELECT {column}, count(*) FROM {self._table}{where} GROUP BY 1 ORDER BY ALL"
            case 2:  # the key at the end of the order makes the rows certain
                order = ", ".join([*(self._term() for _ in range(self._random.randrange(3))), "id"])
                limit = self._random.choice((1, 3, 10, 1000))
                return f"SELECT * FROM {self._table}{where} ORDER BY {order} LIMIT {limit}"
            case 3:
                other = f"SELECT id AS other, {self._column()} AS value FROM {self._table}{where}"
                return (
                    f"SELECT t.*, o.value FROM {self._table} t JOIN ({other}) o ON t.id = o.other "
                    f"WHERE {self._condition(1)} ORDER BY t.id"
                )
            case _:
                return f"SELECT * FROM {self._table}{where} ORDER BY id"

    def _condition(self, depth: int) -> str:
        if depth and self._random.random() < 0.5:
            word = self._random.choice((" AND ", " OR ", " AND "))
            parts = [self._condition(depth - 1) for _ in range(self._random.randrange(2, 4))]
            return "(" + word.join(parts) + ")"
        column = self._column()
        value = self._constant(column)
        match self._random.randrange(9):
            case 0:
                return f"{column} IN ({value}, {self._constant(column)}, {self._constant(column)})"
            case 1:
                return f"{column} BETWEEN {value} AND {self._constant(column)}"
            case 2:
                return f"{column} IS {self._random.choice(('', 'NOT '))}NULL"
            case 3 if self._columns[column] == "text":
                return f"{column} {self._random.choice(('', 'NOT '))}LIKE {self._random.choice(_PATTERNS)}"
            case 4:
                return f"NOT {column} {self._operator()} {value}"
            case 5:
                return f"{value} {self._operator()} {column}"
            case _:
                return f"{column} {self._operator()} {value}"

    def _column(self) -> str:
        return self._random.choice(list(self._columns))

    def _constant(self, column: str) -> str:
        return self._random.choice(CONSTANTS[self._columns[column]])

    def _operator(self) -> str:
        return self._random.choice(("=", "=", "<>", "<", "<=", ">", ">="))

    def _term(self) -> str:
        nulls = self._random.choice(("", " NULLS FIRST", " NULLS LAST"))
        return f"{self._column()}{self._random.choice(('', ' DESC'))}{nulls}"


def run_live(
    duck: duckdb.DuckDBPyConnection, adapter: RelationalAdapter, table: SourceTable, sql: str
) -> tuple[Sequence[str], int]:
    """Return the rows as texts, or the kind of the error, and how many conditions and limits were sent."""
    names = {column.name.lower() for column in table.columns}
    statement = analyse(sql).mentions(lambda _ref: names, {})
    assert statement is not None
    relations, pushed = {}, 0
    for number, mention in enumerate(statement.mentions):
        relation = adapter.relation(duck, table, _read(mention))
        relations[number] = f"({relation.sql})"
        pushed += any(word in relation.sent[0] for word in (" WHERE ", " LIMIT "))
    return run_rows(duck, statement.replace_mentions(relations)), pushed


def run_rows(duck: duckdb.DuckDBPyConnection, sql: str) -> Sequence[str]:
    """Return the rows of a statement as DuckDB's texts, or the class of its error."""
    try:
        return [str(row) for row in duck.execute(f"SELECT COLUMNS(*)::VARCHAR FROM ({sql})").fetchall()]
    except duckdb.Error as error:
        return [type(error).__name__]


def _is_error(rows: Sequence[str]) -> bool:
    return len(rows) == 1 and rows[0].endswith("Exception")


def _read(mention: TableMention) -> RelationRead:
    """What the interpreter asks an adapter for."""
    return RelationRead(
        columns=None if mention.used_names is None else tuple(mention.used_names),
        conditions=mention.conditions,
        order_by=tuple(SortOrder(term.column, term.descending, term.nulls_first) for term in mention.order_by)
        if mention.is_complete
        else (),
        limit=mention.first_rows if mention.is_complete else None,
        count_only=mention.is_complete and mention.is_counted,
    )


def differing_queries(
    duck: duckdb.DuckDBPyConnection,
    adapter: RelationalAdapter,
    table: str,
    columns: dict[str, str],
    seed: int,
    count: int,
) -> tuple[list[tuple[str, object, object]], int]:
    """Return the queries whose results differ live and stored, and how many were sent with a condition."""
    found = adapter.find_table(duck, table)
    assert found is not None
    rows = adapter.relation(duck, found, RelationRead()).sql
    duck.execute(f"CREATE OR REPLACE TABLE stored AS {rows}")
    generator = QueryGenerator(seed, quoted(table), columns)
    differences: list[tuple[str, object, object]] = []
    pushed = 0
    for _ in range(count):
        sql = generator.query()
        live, sent = run_live(duck, adapter, found, sql)
        stored = run_rows(duck, sql.replace(f"FROM {quoted(table)}", "FROM stored"))
        pushed += sent > 0
        if live != stored and not _is_error(stored):  # a constant that cannot be cast, as rows need it or not
            differences.append((sql, live[:5], stored[:5]))
    return differences, pushed
