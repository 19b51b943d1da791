"""Lines that DuckDB writes equal those that Python writes, for every type and format."""

from __future__ import annotations

import io
import random
from contextlib import closing
from functools import cache, partial

import duckdb
import pytest

from tests.render.formats.test_formats import EXACT, NESTED, ODD
from tests.support.database import open_cursor
from tests.support.fake_session import query_rows
from tests.support.nested_values import NestedValues
from unify.interpreter.results import ResultColumn, Rows
from unify.render.formats import write_rows
from unify.render.formats.options import Format, FormatOptions
from unify.render.formats.projection import FormatProjection

PROJECTED: tuple[Format, ...] = ("csv", "json", "jsonl", "markdown", "html")
OPTIONS = [
    *map(FormatOptions, PROJECTED),
    FormatOptions("csv", delimiter="\t"),
    FormatOptions("csv", delimiter="-"),
    *(FormatOptions(format, null=null) for format in PROJECTED for null in ("NULL", "1", "<_>")),
]
# Characters that a format or a regular expression treats in a special way.
CHARACTERS = "ab_ 1.,;\t\n\r\"'\\/|`*~[](){}<>&:=$^?+-#\x00\x01\x02\x07\x08\x0b\x0c\x1f\x7f\x85é表😀\u2028"
NESTING = (
    "{0}", "[{0}]", "[{0}, null]", "[union_value(u := {0})]", "{{'u': union_value(u := [{0}])}}",
    "{{'a b': {0}, 'n': null}}", "map {{'k': {0}}}", "map {{{0}: 1}}", "row({0}, 1)",
    "[[{0}], null]", "{{'list': [{{'x': {0}}}]}}", "[{0}, {0}]::{1}[2]", "map {{'a': [{0}]}}",
    "[row({0})]", "{{'a': [{0}]::{1}[1]}}", "case when false then [{0}] end",
)  # fmt: skip


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    return open_cursor("Europe/Berlin")


def shown(rows: Rows, options: FormatOptions) -> str:
    out = io.StringIO()
    write_rows(rows, out, options)
    return out.getvalue()


def projected_rows(connection: duckdb.DuckDBPyConnection, sql: str, options: FormatOptions) -> Rows:
    """Return the rows of ``sql`` as lines, as ``lake.selects`` fetches them."""
    relation = connection.sql(sql)
    columns = [(name, str(type)) for name, type in zip(relation.columns, relation.types, strict=True)]
    projection = FormatProjection(options)
    names = ", ".join(f"c{number}" for number in range(len(columns)))
    chosen = ", ".join(projection.expressions(columns))
    lines = connection.execute(f"select {chosen} from (\n{sql}\n) as rows({names})").fetchall()
    found = tuple(ResultColumn(*column) for column in columns)
    return Rows(found, iter([lines[:2], lines[2:]] if lines[2:] else [lines]), projection=projection)


def assert_same(connection: duckdb.DuckDBPyConnection, sql: str, options: FormatOptions) -> None:
    assert shown(projected_rows(connection, sql, options), options) == shown(
        query_rows(connection, sql), options
    )


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("sql", ["from test_all_types()", ODD, NESTED, "select 1 as a, 'x' as a, null as a"])
def test_lines_of_all_types_equal_those_of_python(
    connection: duckdb.DuckDBPyConnection, sql: str, options: FormatOptions
) -> None:
    assert_same(connection, sql, options)


@pytest.mark.parametrize("nesting", NESTING)
def test_lines_of_exact_values_equal_those_of_python(
    connection: duckdb.DuckDBPyConnection, nesting: str
) -> None:
    values = [value for expression in EXACT for value in valid(connection, nesting, expression)]

    assert len(values) > len(EXACT) // 2
    for format in PROJECTED:
        assert_same(connection, f"select {', '.join(values)}", FormatOptions(format))


@cache
def type_of(expression: str) -> str:
    [(name,)] = open_cursor("Europe/Berlin").execute(f"select typeof({expression})").fetchall()
    return str(name)


def valid(connection: duckdb.DuckDBPyConnection, nesting: str, expression: str) -> list[str]:
    """Return the nested expression if DuckDB accepts it: not every type can be a key, or in an array."""
    try:
        nested = nesting.format(expression, type_of(expression))
        connection.execute(f"select {nested}").fetchall()
    except duckdb.Error:
        return []
    return [nested]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_lines_of_random_texts_equal_those_of_python(
    connection: duckdb.DuckDBPyConnection, options: FormatOptions
) -> None:
    seed = random.randrange(2**32)
    generator = random.Random(seed)
    texts = ["".join(generator.choices(CHARACTERS, k=generator.randint(0, 6))) for _ in range(400)]
    connection.execute("create or replace temp table texts as select unnest(?::varchar[]) as t", [texts])

    print(f"seed {seed}")
    for column in ("t", "[t, null]", "{'k': t}", "map {t: t}", "to_json(t)", "encode(t)", "[to_json(t)]"):
        assert_same(connection, f"select {column} as x, t as y from texts", options)


def assert_nested_values_are_the_same(connection: duckdb.DuckDBPyConnection, seeds: range) -> None:
    print(f"seeds {seeds}")
    for seed in seeds:
        sql = NestedValues(seed).query()
        for format in PROJECTED:
            assert_same(connection, sql, FormatOptions(format))


def test_lines_of_nested_values_equal_those_of_python(connection: duckdb.DuckDBPyConnection) -> None:
    assert_nested_values_are_the_same(connection, range(25))


@pytest.mark.slow
def test_lines_of_random_nested_values_equal_those_of_python() -> None:
    """In a database of its own: some nested types end DuckDB 1.5.5 (seed 3391547262 and the next 24)."""
    first = random.randrange(2**32)
    with closing(duckdb.connect()) as own:
        own.execute("SET TimeZone = 'Europe/Berlin'")
        assert_nested_values_are_the_same(own, range(first, first + 200))


def test_a_row_is_written_as_its_parts_are(connection: duckdb.DuckDBPyConnection) -> None:
    sql = "select row(['a,b']::varchar[1], date '2024-01-01') as r, [array_value(row(1, 'x'))] as a"
    for rows in (query_rows, partial(projected_rows, options=FormatOptions("csv"))):
        assert shown(rows(connection, sql), FormatOptions("csv")) == (
            'r,a\n"([\'a,b\'], 2024-01-01)","[[(1, x)]]"\n'
        )
    for rows in (query_rows, partial(projected_rows, options=FormatOptions("jsonl"))):
        assert shown(rows(connection, sql), FormatOptions("jsonl")) == (
            '{"r": [["a,b"], "2024-01-01"], "a": [[[1, "x"]]]}\n'
        )


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        "[1,\n 2]",
        "1e400",
        "123456789012345678901234567890",
        '{"a": 1, "a": 2}',
        " 1 ",
    ],
)
@pytest.mark.parametrize("format", PROJECTED)
def test_the_line_of_a_json_value_equals_that_of_python(
    connection: duckdb.DuckDBPyConnection, text: str, format: Format
) -> None:
    quoted = text.replace("'", "''")
    assert_same(connection, f"select '{quoted}'::json as x, ['{quoted}'::json] as y", FormatOptions(format))


@pytest.mark.parametrize("text", ["NaN", "[1,]", "Infinity", "[-inf]", '{"nan": NaN,}'])
def test_json_that_only_duckdb_accepts_is_a_string_in_every_line(
    connection: duckdb.DuckDBPyConnection, text: str
) -> None:
    quoted = text.replace("'", "''")
    assert_same(connection, f"select '{quoted}'::json as x", FormatOptions("jsonl"))
