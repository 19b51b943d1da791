"""Excel workbooks, through openpyxl: an optional package, imported when a workbook is named."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import msgspec

from unify.engine.types import DuckDBType
from unify.errors import FileError, QueryError
from unify.text import unique_names

MAX_SHEET_ROWS = 1_048_576  # of a sheet, its header among them
MAX_SHEET_COLUMNS = 16_384
MAX_CELL_CHARS = 32_767  # characters of a cell
_EXACT_DIGITS = 15  # Excel's numbers are doubles
_FIRST_EXACT_DATE = date(1900, 3, 1)  # before it, Excel counts a day that never was
# Types whose values a cell can hold; DuckDB writes those of the others.
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
    """The rows of the first sheet, header first, as the values that were stored with it."""
    openpyxl = _import_openpyxl()
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (BadZipFile, KeyError, ValueError, OSError) as error:
        raise QueryError(f"{path.name}: this is no Excel workbook that can be read ({error})") from error
    try:
        sheet = book.worksheets[0]
        yield from sheet.iter_rows(values_only=True)
    finally:
        book.close()


def write_rows(path: Path, header: Sequence[str], batches: Iterable[Sequence[Cells]]) -> int:
    """Write a workbook of one sheet; how many rows."""
    openpyxl = _import_openpyxl()
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("rows")
    try:
        count = _append_to_sheet(openpyxl, sheet, [list(header)], batches)
        book.save(path)
    except BaseException:
        if not sheet.closed:
            sheet.close()  # ends the rows that it has begun to write
        raise
    return count


def append_rows(path: Path, target: Path, header: Sequence[str], batches: Iterable[Sequence[Cells]]) -> int:
    """Write the workbook ``path`` with more rows on its first sheet to ``target``; how many rows."""
    openpyxl = _import_openpyxl()
    book = openpyxl.load_workbook(path)
    try:
        sheet = book.worksheets[0]
        there = [cell.value for cell in sheet[1]] if sheet.max_row else []
        if [str(name) for name in there] != list(header):
            raise FileError(f"{path.name} has other columns: {', '.join(map(str, there))}")
        count = _append_to_sheet(openpyxl, sheet, [], batches)
        book.save(target)
    finally:
        book.close()
    return count


def write_json_lines(rows: Iterator[Cells], target: Path) -> dict[str, str]:
    """Write the rows below the header as JSON lines with members c0, c1 …; name and type of each column.

    Numbers stay numbers where all of a column are; anything mixed becomes text.
    """
    header = _column_names(next(rows, ()))
    kinds: list[set[str]] = [set() for _ in header]
    with target.open("wb") as file:
        for row in rows:
            cells = [*row[: len(header)], *[None] * (len(header) - len(row))]
            if all(cell is None for cell in cells):
                continue
            for kind, cell in zip(kinds, cells, strict=True):
                kind.add(_cell_type(cell))
            file.write(
                msgspec.json.encode({f"c{place}": _cell_text(cell) for place, cell in enumerate(cells)})
                + b"\n"
            )
    return {name: _column_type(kind) for name, kind in zip(header, kinds, strict=True)}


def _append_to_sheet(
    openpyxl: Any, sheet: Any, header_rows: list[list[str]], batches: Iterable[Sequence[Cells]]
) -> int:
    """Raises FileError where a sheet cannot hold the rows."""
    for names in header_rows:
        sheet.append([_make_cell(openpyxl, sheet, name) for name in names])
    count, there = 0, 0 if header_rows else max(0, sheet.max_row - 1)
    for batch in batches:
        count += len(batch)
        check_row_count(there + count)
        for row in batch:
            sheet.append([_make_cell(openpyxl, sheet, value) for value in row])
    return count


def _make_cell(openpyxl: Any, sheet: Any, value: object) -> Any:
    """A value as a cell that shows it exactly: a text is never a formula, a long number is a text."""
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
        raise FileError(f"an Excel cell holds {MAX_CELL_CHARS:,} characters, and a value has {len(text):,}")
    cell = openpyxl.cell.WriteOnlyCell(sheet)
    try:
        cell.value = text
    except openpyxl.utils.exceptions.IllegalCharacterError:
        raise FileError(f"an Excel cell cannot hold the control characters of {text[:40]!r}") from None
    cell.data_type = "s"
    return cell


def check_columns(names: Sequence[str]) -> None:
    """Raise FileError where a sheet has no room for the columns."""
    if len(names) > MAX_SHEET_COLUMNS:
        raise FileError(
            f"an Excel sheet holds {MAX_SHEET_COLUMNS:,} columns, and there are {len(names):,}; "
            "export a CSV file"
        )


def check_row_count(rows: int) -> None:
    """Raise FileError where a sheet has no room for the rows."""
    if rows > MAX_SHEET_ROWS - 1:
        raise FileError(
            f"an Excel sheet holds {MAX_SHEET_ROWS:,} rows, and there are more; export a CSV file"
        )


def cell_query(query: str, types: Sequence[DuckDBType]) -> str:
    """``query`` with DuckDB's text of the values that no cell can hold: lists, blobs, intervals …"""
    columns = [f"c{number}" for number in range(len(types))]
    cells = [
        column
        if type.name in _CELL_TYPES or type.name.startswith("DECIMAL")
        else f"CAST({column} AS VARCHAR)"
        for column, type in zip(columns, types, strict=True)
    ]
    return f"SELECT {', '.join(cells)} FROM (\n{query}\n) AS cells({', '.join(columns)})"


def convert_cells(types: Sequence[str], row: Cells) -> Cells:
    """Dates, times and 32-bit floats, which are fetched as text, as Excel's own values where it has them."""
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
    except ValueError:  # infinity, or a year Python does not know
        return value
    if moment.microsecond % 1000:
        return value  # Excel counts milliseconds
    return moment.date() if type == "DATE" else moment


def _column_names(header: Cells) -> list[str]:
    """The names of the columns; a column without one is named by its number."""
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
    found = types - {""}
    if len(found) == 1:
        return found.pop()
    if found == {"BIGINT", "DOUBLE"}:
        return "DOUBLE"
    return "TIMESTAMP" if found == {"DATE", "TIMESTAMP"} else "VARCHAR"


def _cell_text(cell: object) -> str | None:
    """A cell as the text its column's type is read from."""
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
