"""For any JSON of a source, every leaf of the staged table equals the value that Python reads.

Hypothesis generates the documents; the expected columns are computed by a second, simple implementation.
The examples are the same in every run; ``UNIFY_EXAMPLES=2000`` tries that many random ones.
"""

from __future__ import annotations

import json
import math
import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.database import open_cursor
from unify.adapters.spec.table_keys import ColumnDef
from unify.convert.selection import ColumnRules
from unify.convert.stage import RowStage, StageResult
from unify.engine.types import DuckDBType, parse_type
from unify.errors import BadResponse

EVERYTHING = ColumnRules()
EXAMPLES = int(os.environ.get("UNIFY_EXAMPLES", "0"))
QUICK = settings(
    max_examples=EXAMPLES or 24,
    deadline=None,
    derandomize=not EXAMPLES,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
KEYS = st.sampled_from(["id", "name", "a", "A", "a_b", "b", "x.y", 'q"t', "é", "", "user", "_"])
PLAIN_KEYS = st.sampled_from(["id", "name", "user", "labels", "b", "url"])
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
PLAIN_ROWS = st.dictionaries(
    PLAIN_KEYS, SCALARS | st.dictionaries(PLAIN_KEYS, SCALARS | st.lists(VALUES, max_size=2)), max_size=5
)
# Tables in which each column has values of one type, so that it is typed and not mixed.
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
    sealed: StageResult
    rows: list[tuple[Any, ...]]

    @property
    def columns(self) -> list[tuple[str, str]]:
        return [(column.name, column.type) for column in self.sealed.columns]


def load(
    texts: Sequence[bytes], shape: ColumnRules = EVERYTHING, page: int = 3, chunk_bytes: int = 100
) -> Loaded:
    with tempfile.TemporaryDirectory() as folder, open_cursor() as connection:
        with RowStage(Path(folder), shape, chunk_bytes=chunk_bytes, chunk_rows=1) as stage:
            for start in range(0, len(texts), page):
                stage.write(texts[start : start + page])
            sealed = stage.finish()
        if not sealed.files:
            return Loaded(sealed, [])
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
def test_every_leaf_equals_the_value_that_python_reads(table: list[dict[str, Any]]) -> None:
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
def test_a_column_of_values_of_one_type_has_that_type(table: list[dict[str, Any]]) -> None:
    loaded = load([json.dumps(row).encode() for row in table])

    types = dict(loaded.columns)
    assert types.get("v", "VARCHAR") == expected_type([row["v"] for row in table])


@given(ROWS, st.integers(0, 200), st.binary(min_size=0, max_size=2), st.booleans())
@QUICK
def test_a_damaged_row_equals_the_value_that_python_reads_or_fails_the_load(
    row: dict[str, Any], place: int, damage: bytes, plain: bool
) -> None:
    text = json.dumps(row, ensure_ascii=plain).encode()
    place %= len(text)
    damaged = text[:place] + damage + text[place + 1 :]

    if not is_readable(damaged):
        with pytest.raises(BadResponse, match=r"cannot be read|surrogate"):
            load([b'{"id":1}', damaged])
        return

    loaded = load([b'{"id":1}', damaged])
    value = json.loads(damaged.decode())
    places = dict(expected_columns([{"id": 1}, value])) if isinstance(value, dict) else {}
    for (name, type_), cell in zip(loaded.columns, loaded.rows[1], strict=True):
        if name in places:
            check(found(value, places[name]), cell, parse_type(type_))


def is_readable(text: bytes) -> bool:
    """Return whether Python reads the text, and every string in it can be encoded."""
    try:
        json.dumps(json.loads(text.decode()), ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return True


@given(TABLES, st.sampled_from([0, 1, 2]))
@QUICK
def test_structs_that_are_not_flattened_have_the_same_leaves(
    table: list[dict[str, Any]], levels: int
) -> None:
    loaded = load([json.dumps(row).encode() for row in table], ColumnRules(flatten=levels))

    places = dict(expected_columns(table, levels))
    for row, got in zip(table, loaded.rows, strict=True):
        for (name, type_), cell in zip(loaded.columns, got, strict=True):
            if name in places:
                check(found(row, places[name]), cell, parse_type(type_))


@given(st.lists(PLAIN_ROWS, max_size=6), st.data())
@QUICK
def test_exclude_and_only_remove_columns_and_change_no_other(
    table: list[dict[str, Any]], data: st.DataObject
) -> None:
    texts = [json.dumps(row).encode() for row in table]
    whole = load(texts)
    names = [name for name, _ in whole.columns if name != "value"]
    if not names:
        return
    exclude = tuple(data.draw(st.lists(st.sampled_from([*names, "us*", "*_b"]), max_size=2)))
    only = tuple(data.draw(st.lists(st.sampled_from([*names, "n*", "*e*"]), max_size=3)))
    kept = [name for name in names if chosen(name, only) is not False and not chosen(name, exclude)]
    if not kept:
        return

    trimmed = load(texts, ColumnRules(exclude=exclude, only=only))

    assert {column for column in whole.columns if column[0] in kept} == set(trimmed.columns)
    for before, after in zip(whole.rows, trimmed.rows, strict=True):
        one = {name: cell for (name, _), cell in zip(whole.columns, before, strict=True) if name in kept}
        other = {name: cell for (name, _), cell in zip(trimmed.columns, after, strict=True)}
        assert repr(sorted(one.items())) == repr(sorted(other.items()))


def chosen(name: str, globs: Sequence[str]) -> bool | None:
    """Return whether a glob matches the name or that of an enclosing object; None without globs."""
    prefixes = list(accumulate(name.split("_"), "{}_{}".format))
    return any(fnmatchcase(prefix, glob) for prefix in prefixes for glob in globs) if globs else None


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

    loaded = load(texts, ColumnRules(columns=(ColumnDef("amount", "decimal(18,4)"),)))

    assert [row[0] for row in loaded.rows] == [value for value, _ in kept]


def expected_columns(
    table: Sequence[dict[str, Any]], levels: int | None = None
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield name and path of every column, by the rules of the documentation."""
    taken: set[str] = set()
    late = []
    order = longest(table)
    for path in sorted(paths(table, levels), key=lambda path: (len(path), position_in(order, path))):
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


def longest(table: Sequence[dict[str, Any]]) -> Any:
    """Return the longest row; of several, the first in byte order."""
    texts = [json.dumps(row) for row in table]
    return json.loads(min(texts, key=lambda text: (-len(text), text), default="null"))


def position_in(row: Any, path: tuple[str, ...]) -> list[tuple[int, str]]:
    """Return the position of a path in a row: that of each key in its object, unknown ones last."""
    places = []
    for key in path:
        keys = list(row) if isinstance(row, dict) else []
        places.append((keys.index(key) if key in keys else len(keys), key))
        row = row.get(key) if isinstance(row, dict) else None
    return places


def expected_type(values: Sequence[Any]) -> str:
    """Return the type of a column of scalars, by the rules of the documentation."""
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
    """Return the type of an ISO 8601 text that Python parses, within the range of DuckDB."""
    if "t" in text or "T24" in text or text == "2024-01-31T08:30:00.1234567Z":
        return "VARCHAR"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return "VARCHAR"
    if len(text) == 10:
        return "DATE"
    return "TIMESTAMP" if moment.tzinfo is None else "TIMESTAMP WITH TIME ZONE"


def paths(
    rows: Sequence[Any], levels: int | None = None, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    keys = dict.fromkeys(key for row in rows if row is not None for key in row)
    for key in keys:
        values = [row[key] for row in rows if row is not None and row.get(key) is not None]
        flat = levels is None or len(path) < levels
        if flat and values and all(isinstance(value, dict) for value in values):
            yield from paths(values, levels, (*path, key))
        else:
            yield (*path, key)


def found(row: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        row = row.get(key) if isinstance(row, dict) else None
    return row


def check(value: Any, cell: Any, type_: DuckDBType) -> None:
    """Assert that ``cell`` of a column of ``type_`` equals ``value`` without loss."""
    if value is None:
        assert cell is None
        return
    match type_.name:
        case "JSON":
            assert json.loads(cell) == value
        case "LIST":
            for item, part in zip(value, cell, strict=True):
                check(item, part, type_.children[0])
        case "STRUCT":
            assert set(value) <= set(type_.field_names)
            for name, part in zip(type_.field_names, type_.children, strict=True):
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
