"""Whatever JSON a source sends, every leaf of the staged table is what Python reads in the same text.

Hypothesis makes the documents; the expected columns are worked out here a second time, the plain way.
"""

from __future__ import annotations

import json
import math
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unify.adapters.spec import ColumnDef
from unify.duckdb_types import Type, parse_type
from unify.loading.convert import RowStage, Sealed, Shape

EVERYTHING = Shape()
QUICK = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
KEYS = st.sampled_from(["id", "name", "a", "A", "a_b", "b", "x.y", 'q"t', "é", "", "user", "_"])
WHOLES = st.one_of(
    st.integers(-5, 5),
    st.sampled_from([2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64, 10**37, 10**38, 10**40, -(10**38)]),
    st.integers(),
)
REALS = st.floats(allow_nan=False, allow_infinity=False)
MOMENTS = st.sampled_from(
    [
        "2024-02-29",
        "1999-12-31",
        "2024-02-30",
        "2024-01-31T08:30:00",
        "2024-01-31 08:30:00.5",
        "2024-01-31T08:30:00Z",
        "2024-01-31T08:30:00.123456+05:30",
        "2024-01-31T08:30:00.000+0000",
        "2024-01-31T08:30:00.1234567Z",
        "2024-01-31T08:30:00.1234560Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31",
        "2024-01-31t08:30:00z",
        "2024-01-31T24:00:00Z",
    ]
)
TEXTS = st.one_of(MOMENTS, st.text(st.characters(exclude_categories=["Cs"]), max_size=6), st.just("1"))
SCALARS = st.one_of(st.none(), st.booleans(), WHOLES, REALS, TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
ROWS = st.dictionaries(KEYS, VALUES, max_size=5)
# Tables in which one column keeps one kind of value, as most do: these are typed, not mixed.
UNIFORM = st.sampled_from(
    [st.integers(-(2**63), 2**63 - 1), REALS, MOMENTS, st.booleans(), WHOLES, WHOLES | REALS]
).flatmap(
    lambda kind: st.lists(
        st.fixed_dictionaries({"v": st.none() | kind, "o": st.none() | st.fixed_dictionaries({"w": kind})}),
        max_size=6,
    )
)
TABLES = st.one_of(st.lists(ROWS, max_size=6), UNIFORM)


@dataclass(frozen=True)
class Loaded:
    sealed: Sealed
    rows: list[tuple[Any, ...]]

    @property
    def columns(self) -> list[tuple[str, str]]:
        return [(column.name, column.type) for column in self.sealed.columns]


def load(texts: Sequence[bytes], shape: Shape = EVERYTHING, page: int = 3, chunk_bytes: int = 100) -> Loaded:
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        with RowStage(Path(folder), shape, chunk_bytes=chunk_bytes) as stage:
            for start in range(0, len(texts), page):
                stage.write(texts[start : start + page])
            sealed = stage.seal()
        if not sealed.files:
            return Loaded(sealed, [])
        connection.execute("SET TimeZone = 'UTC'")
        files = [str(path) for path in sealed.files]
        types = dict(
            connection.execute(
                "SELECT column_name, column_type FROM (DESCRIBE FROM read_parquet($1))", [files]
            ).fetchall()
        )
        assert types == {column.name: column.type for column in sealed.columns}
        return Loaded(sealed, connection.execute("FROM read_parquet(?)", [files]).fetchall())


@given(TABLES)
@QUICK
def test_every_leaf_is_what_python_reads(table: list[dict[str, Any]]) -> None:
    texts = [json.dumps(row).encode() for row in table]

    loaded = load(texts)

    assert loaded.sealed.rows == len(table)
    places = dict(expected_columns(table))
    names = [name for name, _ in loaded.columns]
    assert sorted(places) == sorted(names) or not places
    for row, got in zip(table, loaded.rows, strict=True):
        for (name, type_), cell in zip(loaded.columns, got, strict=True):
            if name in places:
                check(found(row, places[name]), cell, parse_type(type_))


@given(UNIFORM)
@QUICK
def test_a_column_of_one_kind_has_the_type_of_that_kind(table: list[dict[str, Any]]) -> None:
    loaded = load([json.dumps(row).encode() for row in table])

    types = dict(loaded.columns)
    assert types.get("v", "VARCHAR") == expected_type([row["v"] for row in table])


@given(TABLES, st.randoms(use_true_random=False), st.integers(1, 4), st.sampled_from([1, 60, 10**6]))
@QUICK
def test_neither_order_nor_size_of_pages_changes_the_schema(
    table: list[dict[str, Any]], chance: random.Random, page: int, chunk_bytes: int
) -> None:
    texts = [json.dumps(row).encode() for row in table]
    shuffled = list(texts)
    chance.shuffle(shuffled)

    one, other = load(texts), load(shuffled, page=page, chunk_bytes=chunk_bytes)

    assert one.columns == other.columns
    assert sorted(map(repr, one.rows)) == sorted(map(repr, other.rows))


@given(
    st.lists(
        st.tuples(st.decimals(allow_nan=False, allow_infinity=False, places=4), st.booleans()), max_size=8
    )
)
@QUICK
def test_a_declared_decimal_is_exact_from_the_text(values: list[tuple[Decimal, bool]]) -> None:
    kept = [(value, quoted) for value, quoted in values if abs(value) < 10**14]
    texts = [
        b'{"amount":%s}' % (b'"%s"' if quoted else b"%s") % format(value, "f").encode()
        for value, quoted in kept
    ]

    loaded = load(texts, Shape(columns=(ColumnDef("amount", "decimal(18,4)"),)))

    assert [row[0] for row in loaded.rows] == [value for value, _ in kept]


def expected_columns(table: Sequence[dict[str, Any]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Name and path of every column, by the rules of the documentation."""
    taken: set[str] = set()
    late = []
    for path in sorted(paths(table)):
        name = "_".join(path) or "_"
        if name.lower() in taken:
            late.append((name, path))
        else:
            taken.add(name.lower())
            yield name, path
    for name, path in late:
        number = next(n for n in range(2, 100) if f"{name}_{n}".lower() not in taken)
        taken.add(f"{name}_{number}".lower())
        yield f"{name}_{number}", path


def expected_type(values: Sequence[Any]) -> str:
    """The type of a column of scalars, by the rules of the documentation."""
    present = [value for value in values if value is not None]
    kinds = {type(value) for value in present}
    if kinds == {bool}:
        return "BOOLEAN"
    if kinds == {int}:
        if any(abs(value) >= 10**38 for value in present):
            return "VARCHAR"
        fit = all(-(2**63) <= value < 2**63 for value in present)
        return "BIGINT" if fit else "DECIMAL(38,0)"
    if float in kinds and kinds <= {int, float}:
        return "DOUBLE" if all(is_exact(value) for value in present) else "VARCHAR"
    if kinds == {str}:
        moments = {moment_type(value) for value in present}
        return moments.pop() if len(moments) == 1 else "VARCHAR"
    return "VARCHAR"


def is_exact(value: float) -> bool:
    try:
        return float(value) == value
    except OverflowError:
        return False


def moment_type(text: str) -> str:
    """By Python's own reading of ISO 8601, within what DuckDB reads and keeps."""
    if "t" in text or "T24" in text or text == "2024-01-31T08:30:00.1234567Z":
        return "VARCHAR"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return "VARCHAR"
    if len(text) == 10:
        return "DATE"
    return "TIMESTAMP" if moment.tzinfo is None else "TIMESTAMP WITH TIME ZONE"


def paths(rows: Sequence[Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    keys = dict.fromkeys(key for row in rows if row is not None for key in row)
    for key in keys:
        values = [row[key] for row in rows if row is not None and row.get(key) is not None]
        if values and all(isinstance(value, dict) for value in values):
            yield from paths(values, (*path, key))
        else:
            yield (*path, key)


def found(row: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        row = row.get(key) if isinstance(row, dict) else None
    return row


def check(value: Any, cell: Any, type_: Type) -> None:
    """``cell`` of a column of ``type_`` is ``value``, nothing lost."""
    if value is None:
        assert cell is None
        return
    match type_.name:
        case "JSON":
            assert json.loads(cell) == value
        case "LIST":
            for item, part in zip(value, cell, strict=True):
                check(item, part, type_.parts[0])
        case "STRUCT":
            assert set(value) <= set(type_.names)
            for name, part in zip(type_.names, type_.parts, strict=True):
                check(value.get(name), cell[name], part)
        case "VARCHAR":
            assert cell == (value if isinstance(value, str) else json.dumps(value))
        case "BIGINT" | "DECIMAL" | "BOOLEAN":
            assert (int(cell), type(value)) == (value, bool if type_.name == "BOOLEAN" else int)
        case "DOUBLE":
            assert not isinstance(value, bool)
            assert cell == value
            assert math.copysign(1, cell) == math.copysign(1, value)
        case "DATE":
            assert cell == date.fromisoformat(value)
        case "TIMESTAMP":
            assert cell == datetime.fromisoformat(value)
        case "TIMESTAMP WITH TIME ZONE":
            assert cell.astimezone(UTC) == datetime.fromisoformat(value)
        case other:
            raise AssertionError(f"a column of type {other}")
