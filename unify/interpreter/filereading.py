"""The SELECT that reads files, with types that keep every value.

DuckDB's own detection reads an integer beyond 64 bits as a double. Such columns are read as
DECIMAL(38,0), or as text where they do not fit; integers within a JSON object leave it JSON.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from unify.errors import FileError, QueryError, UnifyError
from unify.interpreter.fileformats import FileFormat
from unify.store import duckerrors
from unify.store.duck import literal, quoted
from unify.store.lake import Lake

_WHOLE = "DECIMAL(38,0)"
_LONG = r"[+-]?\d{16,}"  # digits that a double may not hold
_LONG_WITHIN = r"(^|[\[:,\s])-?\d{16,}([\],}\s]|$)"
_DIGITS = r"[+-]?\d{1,38}"


@dataclass(frozen=True, slots=True)
class Reading:
    """A SELECT over files, and the parameters it takes."""

    sql: str
    parameters: Mapping[str, object]


def reading(lake: Lake, paths: Sequence[Path], format: FileFormat) -> Reading:
    """How to read files of one format. Raises QueryError where they cannot be read as that."""
    files = {"files": [_exactly(path) for path in paths]}
    match format:
        case FileFormat.CSV:
            return _csv(lake, files, "")
        case FileFormat.TSV:
            return _csv(lake, files, r", delim = '\t'")
        case FileFormat.JSON | FileFormat.JSONL:
            return _json(lake, files)
        case _:
            return Reading("SELECT * FROM read_parquet($files, union_by_name = true)", files)


@contextmanager
def explained(lake: Lake, place: str) -> Iterator[None]:
    """What DuckDB says of a file it cannot read or write, in one line that names it: the SQL is ours."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise _with_place(duckerrors.refusal(error, lake.place), place) from error
    except QueryError as error:
        raise _with_place(error, place) from error


def _with_place(refusal: UnifyError, place: str) -> UnifyError:
    if not isinstance(refusal, QueryError):
        return refusal
    return FileError(f"{place}: {refusal.message.splitlines()[0]}")


def _csv(lake: Lake, files: Mapping[str, object], more: str) -> Reading:
    options = f"union_by_name = true, allow_quoted_nulls = false, sample_size = -1{more}"
    source = f"read_csv($files, {options})"
    types = _described(lake, f"SELECT * FROM {source}", files)
    doubles = [name for name, type in types.items() if type == "DOUBLE"]
    texts = f"read_csv($files, all_varchar = true, {options})"
    if not doubles or list(_described(lake, f"SELECT * FROM {texts}", files)) != list(types):
        return Reading(f"SELECT * FROM {source}", files)
    given = _exact_types(lake, texts, files, doubles)
    if not given:
        return Reading(f"SELECT * FROM {source}", files)
    return Reading(f"SELECT * FROM read_csv($files, types = {_struct(given)}, {options})", files)


def _json(lake: Lake, files: Mapping[str, object]) -> Reading:
    options = "union_by_name = true, sample_size = -1, maximum_object_size = 1000000000"
    source = f"read_json($files, {options})"
    types = _described(lake, f"SELECT * FROM {source}", files)
    doubtful = [name for name, type in types.items() if "DOUBLE" in type]
    if not doubtful:
        return Reading(f"SELECT * FROM {source}", files)
    texts = f"read_json($files, columns = {_struct(dict.fromkeys(types, 'VARCHAR'))}, {options})"
    plain = [name for name in doubtful if types[name] == "DOUBLE"]
    exact = _exact_types(lake, texts, files, plain)
    exact |= _nested_types(lake, texts, files, [name for name in doubtful if name not in plain])
    if not exact:
        return Reading(f"SELECT * FROM {source}", files)
    return Reading(
        f"SELECT * FROM read_json($files, columns = {_struct({**types, **exact})}, {options})", files
    )


def _exact_types(lake: Lake, texts: str, files: Mapping[str, object], names: Sequence[str]) -> dict[str, str]:
    """The columns of ``names`` that hold integers too long for a double, and what holds them."""
    if not names:
        return {}
    tests = ", ".join(
        f"coalesce(bool_or(regexp_full_match({quoted(name)}, '{_LONG}')), false), "
        f"coalesce(bool_and(regexp_full_match({quoted(name)}, '{_DIGITS}')), true)"
        for name in names
    )
    [row] = lake.connection.execute(f"SELECT {tests} FROM {texts}", files).fetchall()
    pairs = zip(names, row[0::2], row[1::2], strict=True)
    return {name: _WHOLE if fits else "VARCHAR" for name, is_long, fits in pairs if is_long}


def _nested_types(
    lake: Lake, texts: str, files: Mapping[str, object], names: Sequence[str]
) -> dict[str, str]:
    if not names:
        return {}
    tests = ", ".join(
        f"coalesce(bool_or(regexp_matches({quoted(name)}, '{_LONG_WITHIN}')), false)" for name in names
    )
    [row] = lake.connection.execute(f"SELECT {tests} FROM {texts}", files).fetchall()
    return {name: "JSON" for name, is_long in zip(names, row, strict=True) if is_long}


def _described(lake: Lake, query: str, files: Mapping[str, object]) -> dict[str, str]:
    rows = lake.connection.execute(f"DESCRIBE {query}", files).fetchall()
    return {str(row[0]): str(row[1]) for row in rows}


def _struct(types: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{literal(name)}: {literal(type)}" for name, type in types.items()) + "}"


def _exactly(path: Path) -> str:
    """A path that means this file alone, although DuckDB reads globs."""
    return glob.escape(os.fspath(path))
