"""Reads and writes Excel workbooks with openpyxl, an optional package imported on first use."""

from __future__ import annotations

import glob
import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import msgspec

from unify.engine.connection import quote_literal
from unify.engine.types import DuckDBType
from unify.engine.types import quote_identifier as quoted
from unify.errors import FileError, QueryError
from unify.text import unique_names

MAX_SHEET_ROWS = 1_048_576  # including the header
MAX_SHEET_COLUMNS = 16_384
MAX_CELL_CHARS = 32_767
_EXACT_DIGITS = 15  # Excel's numbers are doubles
_FIRST_EXACT_DATE = date(1900, 3, 1)  # Excel counts 29 February 1900, which does not exist
# Types that a cell can hold; values of other types are written as DuckDB's text.
_CELL_TYPES = frozenset(
    ["BOOLEAN", "VARCHAR", "FLOAT", "DOUBLE", "DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS"]
    + [
        f"{sign}{size}"
        for size in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
        for sign in ("", "U")
    ]
)

Cells = Sequence[object]


def read_rows(path: Path) -> Iterator[Cells]:
    """Yield the rows of the first sheet, header first; formulas as their stored values."""
    openpyxl = _import_openpyxl()
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (BadZipFile, KeyError, ValueError, OSError) as error:
        raise QueryError(f"{path.name}: not a readable Excel workbook ({error})") from error
    try:
        sheet = book.worksheets[0]
        yield from sheet.iter_rows(values_only=True)
    finally:
        book.close()


def write_rows(path: Path, header: Sequence[str], batches: Iterable[Sequence[Cells]]) -> int:
    """Write a workbook with one sheet; return the number of rows."""
    openpyxl = _import_openpyxl()
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("rows")
    try:
        count = _append_to_sheet(openpyxl, sheet, [list(header)], batches)
        book.save(path)
    except BaseException:
        if not sheet.closed:
            sheet.close()  # closes its temporary file
        raise
    return count


def append_rows(path: Path, target: Path, header: Sequence[str], batches: Iterable[Sequence[Cells]]) -> int:
    """Write ``path`` with rows appended to its first sheet to ``target``; return their number."""
    openpyxl = _import_openpyxl()
    book = openpyxl.load_workbook(path)
    try:
        sheet = book.worksheets[0]
        existing = [str(cell.value) for cell in sheet[1]] if sheet.max_row else []
        if existing != list(header):
            raise FileError(f"{path.name} has other columns: {', '.join(existing)}")
        count = _append_to_sheet(openpyxl, sheet, [], batches)
        book.save(target)
    finally:
        book.close()
    return count


def write_json_lines(rows: Iterator[Cells], target: Path) -> dict[str, str]:
    """Write rows as JSON lines with members c0, c1 …; return the types by column name.

    The first row is the header. Columns of mixed types become text.
    """
    header = _column_names(next(rows, ()))
    types: list[set[str]] = [set() for _ in header]
    with target.open("wb") as file:
        for row in rows:
            cells = [*row[: len(header)], *[None] * (len(header) - len(row))]
            if all(cell is None for cell in cells):
                continue
            for cell_types, cell in zip(types, cells, strict=True):
                cell_types.add(_cell_type(cell))
            record = {f"c{index}": _cell_text(cell) for index, cell in enumerate(cells)}
            file.write(msgspec.json.encode(record) + b"\n")
    return {name: _column_type(cell_types) for name, cell_types in zip(header, types, strict=True)}


def workbook_query(paths: Sequence[Path], folder: Path, labels: Mapping[str, Sequence[str]] = {}) -> str:
    """Return a SELECT over the first sheets of workbooks, matching columns by name.

    ``folder``  gets the rows as JSON lines, which the SELECT reads.
    ``labels``  texts by the name of a further column, one for each workbook.
    Raises QueryError for an empty workbook.
    """
    selects = []
    for number, path in enumerate(paths):
        lines = folder / f"{number}.jsonl"
        types = write_json_lines(read_rows(path), lines)
        if not types:
            raise QueryError(f"{path.name}: its first sheet is empty")
        members = ", ".join(f"c{index}: {quote_literal(type)}" for index, type in enumerate(types.values()))
        columns = [f"c{index} AS {quoted(name)}" for index, name in enumerate(types)]
        columns += [f"{quote_literal(texts[number])} AS {quoted(name)}" for name, texts in labels.items()]
        file = quote_literal(glob.escape(str(lines)))
        source = f"read_json([{file}], format = 'newline_delimited', columns = {{{members}}})"
        selects.append(f"SELECT {', '.join(columns)} FROM {source}")
    return " UNION ALL BY NAME ".join(selects)


def _append_to_sheet(
    openpyxl: Any, sheet: Any, header_rows: list[list[str]], batches: Iterable[Sequence[Cells]]
) -> int:
    """Append the rows; return their number. Raises FileError if they exceed the limits of a sheet."""
    for names in header_rows:
        sheet.append([_make_cell(openpyxl, sheet, name) for name in names])
    count, existing = 0, 0 if header_rows else max(0, sheet.max_row - 1)
    for batch in batches:
        count += len(batch)
        check_row_count(existing + count)
        for row in batch:
            sheet.append([_make_cell(openpyxl, sheet, value) for value in row])
    return count


def _make_cell(openpyxl: Any, sheet: Any, value: object) -> Any:
    """Return a cell with the exact value; texts are not formulas, long numbers are texts."""
    if value is None or isinstance(value, bool):
        return value
    if (
        isinstance(value, int | Decimal)
        and len(str(abs(value)).replace(".", "").lstrip("0")) <= _EXACT_DIGITS
    ):
        return value
    if isinstance(value, float) and isfinite(value):
        return value
    if isinstance(value, datetime) and value.tzinfo is None and value.date() >= _FIRST_EXACT_DATE:
        return value
    if isinstance(value, date) and not isinstance(value, datetime) and value >= _FIRST_EXACT_DATE:
        return value
    text = value if isinstance(value, str) else str(value)
    if len(text) > MAX_CELL_CHARS:
        raise FileError(
            f"a value has {len(text):,} characters; an Excel cell holds {MAX_CELL_CHARS:,} characters"
        )
    cell = openpyxl.cell.WriteOnlyCell(sheet)
    try:
        cell.value = text
    except openpyxl.utils.exceptions.IllegalCharacterError:
        raise FileError(f"an Excel cell cannot hold the control characters of {text[:40]!r}") from None
    cell.data_type = "s"
    return cell


def check_columns(names: Sequence[str]) -> None:
    """Raise FileError if there are more columns than a sheet holds."""
    if len(names) > MAX_SHEET_COLUMNS:
        raise FileError(
            f"an Excel sheet holds {MAX_SHEET_COLUMNS:,} columns, not {len(names):,}; export a CSV file"
        )


def check_row_count(rows: int) -> None:
    """Raise FileError if there are more rows than a sheet holds."""
    if rows > MAX_SHEET_ROWS - 1:
        raise FileError(
            f"the rows do not fit in an Excel sheet, which holds {MAX_SHEET_ROWS:,}; export a CSV file"
        )


def cell_query(query: str, types: Sequence[DuckDBType]) -> str:
    """Return ``query`` with values that a cell cannot hold (lists, blobs, intervals …) cast to text."""
    columns = [f"c{number}" for number in range(len(types))]
    cells = [
        column
        if type.name in _CELL_TYPES or type.name.startswith("DECIMAL")
        else f"CAST({column} AS VARCHAR)"
        for column, type in zip(columns, types, strict=True)
    ]
    return f"SELECT {', '.join(cells)} FROM (\n{query}\n) AS cells({', '.join(columns)})"


def convert_cells(types: Sequence[str], row: Cells) -> Cells:
    """Convert dates, times and 32-bit floats from text to values of Excel, where Excel can hold them."""
    return [_parse_cell(type, value) for type, value in zip(types, row, strict=True)]


def _parse_cell(type: str, value: object) -> object:
    if type == "FLOAT" and isinstance(value, str):
        number = float(value)
        return number if isfinite(number) else value
    return _parse_date(type, value)


def _parse_date(type: str, value: object) -> object:
    if not isinstance(value, str) or type not in ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS"):
        return value
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:  # infinity, or a year beyond Python's range
        return value
    if moment.microsecond % 1000:
        return value  # Excel has milliseconds
    return moment.date() if type == "DATE" else moment


def _column_names(header: Cells) -> list[str]:
    """Return unique column names; an empty header cell becomes ``columnN``."""
    names = (
        str(cell).strip() if cell is not None else f"column{number}" for number, cell in enumerate(header, 1)
    )
    return unique_names(names, str.lower)


def _cell_type(cell: object) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return "BOOLEAN"
        case int():
            return "BIGINT" if -(2**63) <= cell < 2**63 else "VARCHAR"
        case float():
            return "DOUBLE"
        case datetime():
            return "DATE" if cell.time() == time() else "TIMESTAMP"
        case date():
            return "DATE"
        case time():
            return "TIME"
        case _:
            return "VARCHAR"


def _column_type(types: set[str]) -> str:
    present = types - {""}
    if len(present) == 1:
        return present.pop()
    if present == {"BIGINT", "DOUBLE"}:
        return "DOUBLE"
    return "TIMESTAMP" if present == {"DATE", "TIMESTAMP"} else "VARCHAR"


def _cell_text(cell: object) -> str | None:
    """Return a cell as text that DuckDB casts to the type of its column."""
    if cell is None:
        return None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ")
    return repr(cell) if isinstance(cell, float) else str(cell)


def _import_openpyxl() -> Any:
    try:
        module = importlib.import_module("openpyxl")
        for part in ("cell", "utils.exceptions"):
            importlib.import_module(f"openpyxl.{part}")
    except ImportError as error:
        raise FileError(
            "Excel files need the Python package openpyxl: pip install 'unify-sql[excel]'; or use CSV"
        ) from error
    return module
