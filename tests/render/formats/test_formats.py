"""Results in every format, compared with golden files."""

from __future__ import annotations

import csv
import io
import json
import os
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tests.support.database import open_cursor
from tests.support.fake_session import query_rows
from tests.support.paths import GOLDEN
from unify.durations import format_elapsed
from unify.engine.types import parse_type
from unify.interpreter.results import ResultColumn, Rows, listing_rows
from unify.render.formats import write_rows
from unify.render.formats.box import footer_text
from unify.render.formats.layout import (
    MAX_COUNTED_ROWS,
    fit_columns,
    pad_text,
    text_width,
    truncate_text,
    wrap_text,
)
from unify.render.formats.options import FORMATS, Format, FormatOptions
from unify.text import unique_names

# Each row has an unusual value, each column another kind of type.
ODD = r"""
select * from (values
  (1, 'plain', 1.50::decimal(5,2), 0.1::double, date '2020-02-29', [1, null, 3]),
  (9223372036854775808, 'wide: 表 é 😀', -0.01, 1e300, date '0044-03-15 (BC)', []),
  (null, null, null, null, null, null),
  (-9223372036854775808, '', 999.99, 'nan', date 'infinity', [null]),
  (170141183460469231731687303715884105727, e'tab\there, line\nfeed\r\nand | pipe', 0, '-inf',
   date '9999-12-31', [0]),
  (0, '<b>"quoted"</b> & \back*slash* _under_ `code` [x](y)', 0.00, -0.0, date '1970-01-01', [7, 8]),
  (42, 'NULL', 1, 1.0, date '2020-01-01', [42]),
  (43, e'\x1b[31mred\x1b[0m ' || chr(8238) || 'right to left' || chr(8203), 2, 123456789.123,
   date '2020-01-02', [43]),
  (44, '{"a": 1}', 3, 1e16, date '2020-01-03', [44])
) as odd(big, text, dec, dbl, day, list)
"""
NESTED = r"""
select
  {'id': 1, 'name': 'a, b', 'tags': ['x', 'it''s', null], 'none': null} as struct,
  map {'k=1': 1.5, 'NULL': null} as map,
  interval '14 months 3 days 04:05:06.7' as interval,
  timestamptz '2020-07-01 12:00:00.123+02' as moment,
  timestamp_ns '2020-01-01 00:00:00.123456789' as nanos,
  '\xAA\x00bytes'::blob as blob,
  '01:02:03.5'::time as clock,
  '{"n": 12345678901234567890.5, "s": "x\ny"}'::json as json,
  uuid '8d3f1c2e-5b7a-4c1d-9e0f-123456789abc' as uuid,
  0.1::float as single,
  true as flag,
  null as nothing
"""
CASES = {"odd": ODD, "nested": NESTED, "empty": f"select * from ({ODD}) where false"}


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    return open_cursor("Europe/Berlin")


def shown(source: Rows, look: FormatOptions, elapsed_s: float = 0.012) -> str:
    out = io.StringIO()
    write_rows(source, out, look, lambda: elapsed_s)
    return out.getvalue()


def plain(names_and_types: str, *values: tuple[object, ...]) -> Rows:
    """Return a result of one batch; columns such as ``a BIGINT, b VARCHAR``."""
    columns = tuple(ResultColumn(*column.split(" ", 1)) for column in names_and_types.split(", "))
    return Rows(columns, iter([values] if values else []))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("format", FORMATS)
def test_every_format_equals_its_golden_file(
    connection: duckdb.DuckDBPyConnection, case: str, format: Format
) -> None:
    text = shown(query_rows(connection, CASES[case]), FormatOptions(format))

    golden = GOLDEN / f"{case}.{format}"
    if os.environ.get("UNIFY_WRITE_GOLDEN"):  # review the changed files like any other code
        golden.write_text(text, encoding="utf-8", newline="")
    assert text == golden.read_bytes().decode()


EXACT = [
    line
    for line in (GOLDEN / "exact_values.sql").read_text(encoding="utf-8").splitlines()
    if not line.startswith("--")
]


@pytest.mark.parametrize("expression", EXACT)
def test_a_value_is_formatted_as_by_duckdb(connection: duckdb.DuckDBPyConnection, expression: str) -> None:
    wanted = connection.execute(f"select cast({expression} as varchar)").fetchall()[0][0]

    text = shown(
        query_rows(connection, f"select {expression} as x, 1 as y"),
        FormatOptions("csv", header=False, null="<null>"),
    )

    assert next(csv.reader(io.StringIO(text))) == ["<null>" if wanted is None else wanted, "1"]


@pytest.mark.parametrize(
    "expression",
    [
        "true", "170141183460469231731687303715884105727::hugeint", "1.50::decimal(5,2)",
        "date '2020-02-29'",
        "timestamp '2020-01-01 10:11:12.5'", "timestamptz '2020-07-01 00:00:00+00'", "time '01:02:03'",
        "timetz '01:02:03-02:30'", "interval '3 days 04:05:06.7'", "interval '-1 microsecond'",
        "'\\xAA'::blob", "0.1::float", "[0.3::float]", "16777216::float", "'-inf'::float",
        "[date '2020-01-01', null]", "{'t': time '01:02:03', 'x': 'a, b'}", "map {'a': interval 2 days}",
    ],
)  # fmt: skip
def test_plain_python_values_are_formatted_as_by_duckdb(
    connection: duckdb.DuckDBPyConnection, expression: str
) -> None:
    """Rows made by Unify are not read with ``exact_cast_sql``."""
    wanted = connection.execute(f"select cast({expression} as varchar)").fetchall()[0][0]

    text = shown(
        query_rows(connection, f"select {expression} as x", exact=False), FormatOptions("csv", header=False)
    )

    assert next(csv.reader(io.StringIO(text))) == [wanted]


def test_random_numbers_are_formatted_as_by_duckdb(connection: duckdb.DuckDBPyConnection) -> None:
    seed = random.randrange(2**32)
    generator = random.Random(seed)
    numbers = [generator.uniform(-1, 1) * 10 ** generator.randint(-40, 36) for _ in range(500)]
    listed = ", ".join(f"({number!r}::double)" for number in numbers)
    query = f"select x, x::float as f from (values {listed}) t(x)"
    wanted = connection.execute(f"select x::varchar, f::varchar from ({query})").fetchall()

    text = shown(query_rows(connection, query), FormatOptions("csv", header=False))

    assert [tuple(row) for row in csv.reader(io.StringIO(text))] == wanted, f"seed {seed}"


def test_random_nested_texts_are_formatted_as_by_duckdb(connection: duckdb.DuckDBPyConnection) -> None:
    seed = random.randrange(2**32)
    generator = random.Random(seed)
    alphabet = "ab'\"\\,:=()[]{} \t\nN\u00a0é"
    texts = ["".join(generator.choices(alphabet, k=generator.randint(0, 5))) for _ in range(300)]
    connection.execute("create table t(x varchar)")
    connection.executemany("insert into t values (?)", [(text,) for text in texts])
    query = "select [x, 'b'] as l, {'k': x} as s, map {x: x} as m, row(x, 1) as r from t"
    wanted = connection.execute(
        f"select l::varchar, s::varchar, m::varchar, r::varchar from ({query})"
    ).fetchall()

    text = shown(query_rows(connection, query), FormatOptions("csv", header=False))

    assert [tuple(row) for row in csv.reader(io.StringIO(text, newline=""))] == wanted, f"seed {seed}"


def test_json_is_exact_and_valid(connection: duckdb.DuckDBPyConnection) -> None:
    text = shown(query_rows(connection, ODD), FormatOptions("json"))

    found = json.loads(text, parse_float=Decimal)
    assert [row["big"] for row in found[:2]] == [1, 2**63]
    assert found[0]["dec"] == Decimal("1.50")
    assert found[3]["dbl"] == "NaN"
    assert found[4]["dbl"] == "-Infinity"
    assert found[2] == dict.fromkeys(["big", "text", "dec", "dbl", "day", "list"])
    assert [row["text"] for row in found] == [
        row[0] for row in connection.execute(f"select text from ({ODD})").fetchall()
    ]


def test_json_columns_are_inserted_unchanged(connection: duckdb.DuckDBPyConnection) -> None:
    query = """select '{"n": 12345678901234567890.12345678901234567890,\n "a":\r\n[1]}'::json as j"""

    text = shown(query_rows(connection, query), FormatOptions("jsonl"))

    assert text.count("\n") == 1
    assert "12345678901234567890.12345678901234567890" in text
    assert json.loads(text) == {"j": {"n": 12345678901234567890.12345678901234567890, "a": [1]}}


def test_a_json_column_with_invalid_json_becomes_a_string() -> None:
    assert (
        shown(plain("j JSON", ("{oops",), ("NaN",)), FormatOptions("jsonl"))
        == '{"j": "{oops"}\n{"j": "NaN"}\n'
    )


def test_json_nests_structs_maps_and_lists(connection: duckdb.DuckDBPyConnection) -> None:
    query = (
        "select {'a': [1.5::decimal(3,1), null], 'm': map {1: 'x'}} as s, row(1, 'b') as r, 123::bignum as b"
    )

    assert (
        shown(query_rows(connection, query), FormatOptions("jsonl"))
        == '{"s": {"a": [1.5, null], "m": {"1": "x"}}, "r": [1, "b"], "b": 123}\n'
    )


def test_duplicate_names_are_numbered_in_json() -> None:
    assert (
        shown(plain("a INTEGER, a INTEGER, a_2 INTEGER", (1, 2, 3)), FormatOptions("jsonl"))
        == '{"a": 1, "a_3": 2, "a_2": 3}\n'
    )
    assert unique_names(["x", "x", "x"]) == ["x", "x_2", "x_3"]


def test_csv_distinguishes_null_and_empty_text(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    file = tmp_path / "odd.csv"
    file.write_text(shown(query_rows(connection, ODD), FormatOptions("csv")), encoding="utf-8", newline="")

    back = connection.execute(
        "select text from read_csv(?, header=true, all_varchar=true, allow_quoted_nulls=false)", [str(file)]
    ).fetchall()

    assert back == connection.execute(f"select text from ({ODD})").fetchall()


def test_csv_quotes_text_equal_to_the_null_text() -> None:
    assert (
        shown(plain("a VARCHAR", ("NULL",), (None,), ("",)), FormatOptions("csv", null="NULL"))
        == 'a\n"NULL"\nNULL\n\n'
    )


def test_markdown_writes_each_row_on_one_line(connection: duckdb.DuckDBPyConnection) -> None:
    lines = shown(query_rows(connection, ODD), FormatOptions("markdown")).splitlines()

    assert len(lines) == 2 + 9
    assert all(line.replace("\\|", "").count("|") == 7 for line in lines)


@pytest.mark.parametrize("format", FORMATS)
def test_control_characters_never_reach_a_terminal(format: Format) -> None:
    unsafe = "".join(
        map(chr, [*range(0x20), *range(0x7F, 0xA0), 0xAD, 0x200B, 0x200F, 0x202E, 0x2066, 0xFEFF, 0xE0041])
    )
    bad = plain(f"x{unsafe[:5]} VARCHAR".replace("\t", ""), (unsafe,), ("\x1b]0;title\x07",))

    text = shown(bad, FormatOptions(format, terminal=True, null=None))

    assert not set(unsafe) & set(text) - {"\n"}


@pytest.mark.parametrize("format", ["csv", "json", "jsonl"])
def test_a_file_contains_the_data_unchanged(format: Format) -> None:
    text = shown(plain("x VARCHAR", ("\x1b[31m\u202e",)), FormatOptions(format))

    assert "\u202e" in text


def test_a_box_on_a_terminal_fits_it(connection: duckdb.DuckDBPyConnection) -> None:
    columns = ", ".join(f"{n} as column_{n}" for n in range(40))
    wide = query_rows(
        connection,
        f"select range as id, 'some text ' || repeat('long ', 20) as text, {columns} from range(1000)",
        "stored 12 min ago",
    )

    lines = shown(wide, FormatOptions("box", terminal=True, width=80, height=24)).splitlines()

    assert len(lines) <= 23
    assert {text_width(line) for line in lines[:-1]} <= set(range(60, 81))
    assert lines[-1] == "1,000 rows (15 shown) · 42 columns (6 shown) · 12 ms · stored 12 min ago"
    assert "│      0 │" in lines[4]
    assert "│    999 │" in lines[-3]


@pytest.mark.parametrize("width", [1, 5, 10, 20, 37, 80, 200])
def test_no_line_is_wider_than_the_terminal(connection: duckdb.DuckDBPyConnection, width: int) -> None:
    lines = shown(query_rows(connection, ODD), FormatOptions("box", terminal=True, width=width)).splitlines()

    assert max(map(text_width, lines[:-1])) <= max(width, 9), "a frame needs nine columns"


def test_a_box_in_a_file_shows_everything(connection: duckdb.DuckDBPyConnection) -> None:
    text = shown(
        query_rows(connection, "select range as n, repeat('x', 300) as long from range(5000)"),
        FormatOptions("box", width=20, height=5),
    )

    assert text.count("x" * 300) == 5000
    assert text.endswith("5,000 rows\n")


def test_listings_and_unlimited_rows_are_shown_completely() -> None:
    values = [(number,) for number in range(100)]

    listing = shown(
        listing_rows([("n", "BIGINT")], values, "as it is"), FormatOptions("box", terminal=True, height=10)
    )
    every = shown(plain("n BIGINT", *values), FormatOptions("box", terminal=True, height=10, all_rows=True))

    assert listing.endswith("100 rows · 12 ms · as it is\n")
    assert all(f"│     {number} │" in listing and f"│     {number} │" in every for number in range(10, 100))


def test_vertical_rows_have_a_footer_on_a_terminal() -> None:
    source = "n BIGINT", (1,), (2,)

    assert shown(plain(*source), FormatOptions("vertical", terminal=True)).endswith("n │ 2\n2 rows · 12 ms\n")
    assert shown(plain(*source), FormatOptions("vertical")).endswith("n │ 2\n")


def test_a_plan_is_drawn_after_its_loads() -> None:
    plan = plain(
        "explain_key VARCHAR, explain_value VARCHAR",
        ("loads", "load a.b: GET /b\x1b"),
        ("physical_plan", "┌──┐\n└──┘\n"),
    )

    assert (
        shown(plan, FormatOptions("box", terminal=True)) == "loads: load a.b: GET /b\\e\n┌──┐\n└──┘\n12 ms\n"
    )


def test_a_box_counts_rows_up_to_a_limit(connection: duckdb.DuckDBPyConnection) -> None:
    text = shown(query_rows(connection, "from range(10000000)"), FormatOptions("box", terminal=True))

    assert f"more than {MAX_COUNTED_ROWS:,} rows (15 shown)" in text


def test_max_rows_shows_both_ends_in_a_box_and_the_first_rows_in_other_formats(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    box = shown(
        query_rows(connection, "select range as n from range(10)"),
        FormatOptions("box", header=False, max_rows=3),
    )
    out = io.StringIO()
    csv_shown = write_rows(
        query_rows(connection, "select range as n from range(10)"), out, FormatOptions("csv", max_rows=3)
    )

    assert box == "┌───┐\n│ 0 │\n│ 1 │\n│ · │\n│ 9 │\n└───┘\n10 rows (3 shown)\n"
    assert out.getvalue() == "n\n0\n1\n2\n"
    assert (csv_shown.row_count, csv_shown.is_truncated) == (3, True)


def test_sufficient_max_rows_omit_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    found = write_rows(
        query_rows(connection, "from range(3)"), io.StringIO(), FormatOptions("csv", max_rows=3)
    )

    assert (found.row_count, found.is_truncated) == (3, False)


def test_null_is_dim_if_colours_are_used() -> None:
    text = shown(plain("a VARCHAR", (None,), ("NULL",)), FormatOptions("box", terminal=True, colour=True))

    assert "\x1b[2mNULL" in text
    assert text.count("NULL") == 2


def test_a_terminal_without_line_drawing_gets_ascii() -> None:
    text = shown(
        plain("a VARCHAR, b INTEGER", ("x" * 100, 1)),
        FormatOptions("box", terminal=True, ascii_only=True, width=30),
    )

    assert text.isascii()


def test_only_shown_rows_are_read() -> None:
    read = []

    def batches() -> Iterator[list[tuple[object, ...]]]:
        try:
            for number in range(1000):
                read.append(number)
                yield [(number,)]
        finally:
            read.append(-1)

    write_rows(
        Rows((ResultColumn("n", "BIGINT"),), batches(), ""), io.StringIO(), FormatOptions("csv", max_rows=5)
    )

    assert read == [0, 1, 2, 3, 4, 5, -1]


def test_columns_are_narrowed_before_they_are_left_out() -> None:
    assert fit_columns([5, 5], 80).widths == (5, 5)
    assert fit_columns([5, 100, 5], 80).widths == (5, 60, 5)
    assert fit_columns([30] * 10, 80).columns == (0, 1, 9)
    assert fit_columns([30] * 10, 80).gap == 2
    assert fit_columns([200], 20).widths == (16,)


def test_text_is_wrapped_between_words_with_its_indentation() -> None:
    text = "  refresh table T every DURATION\nFetches what changed\nLINE 1: select a long statement\n     ^"

    assert wrap_text(text, 20).split("\n") == [
        "  refresh table T",
        "  every DURATION",
        "Fetches what",
        "changed",
        "LINE 1: select a long statement",
        "     ^",
    ]
    assert wrap_text(text, 80) == text
    assert wrap_text(r"\x [on|off]   rows as lists of columns, and back", 40).split("\n") == [
        r"\x [on|off]   rows as lists of columns,",
        "              and back",
    ]


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("select number, title, stat from github.pulls", "select number, title, sta…"),
        ("select number, title, state, user_login, nope", "…itle, state, user_login, nope"),
        ("select nope", "select nope"),
    ],
)
def test_a_line_with_a_pointer_is_shortened_around_it(statement: str, shown: str) -> None:
    at = max(statement.find("nope"), statement.find("stat "))

    lines = wrap_text(f"wrong\nLINE 1: {statement}\n{' ' * (8 + at)}^", 40).split("\n")

    assert lines[:2] == ["wrong", f"LINE 1: {shown}"] or len(lines[1]) == 39
    assert max(map(len, lines)) < 40
    assert statement[at:].startswith(lines[1][lines[2].index("^") :].rstrip("…"))


def test_notes_below_rows_are_wrapped_between_words() -> None:
    assert (
        footer_text(["3 rows", "3 columns (1 shown)"], FormatOptions(terminal=True, width=20))
        == "3 rows · 3 columns\n(1 shown)"
    )
    assert footer_text(["3 rows", "2 ms"], FormatOptions(terminal=False, width=4)) == "3 rows · 2 ms"


def test_text_width_is_measured_in_terminal_cells() -> None:
    assert [text_width(text) for text in ("abc", "表", "e\u0301", "😀")] == [3, 2, 1, 2]
    assert truncate_text("表表表", 4) == "表…"
    assert truncate_text("abcdef", 4) == "abc…"
    assert pad_text("表", 4) == "表  "
    assert pad_text("7", 3, right=True) == "  7"


def test_type_names_are_shortened() -> None:
    assert parse_type("TIMESTAMP WITH TIME ZONE").label == "timestamptz"
    assert (
        parse_type('STRUCT(a DECIMAL(5,2), "b c" VARCHAR[])[3]').label
        == "struct(a decimal(5,2), b c varchar[])[3]"
    )
    assert parse_type("ENUM('a', 'b)')").label == "enum"
    assert (
        parse_type("MAP(INTEGER, STRUCT(VARCHAR, TIME WITH TIME ZONE))").label
        == "map(integer, struct(varchar, timetz))"
    )
    assert parse_type("SOMETHING ODD(").name == "SOMETHING ODD("


def test_elapsed_times_have_a_suitable_precision() -> None:
    assert [format_elapsed(seconds) for seconds in (0.0004, 0.012, 0.35, 9.994, 12.08, 125)] == [
        "1 ms", "12 ms", "0.35 s", "9.99 s", "12.1 s", "2 min 5 s",
    ]  # fmt: skip
