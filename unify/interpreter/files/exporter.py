"""``export``: writes the rows of a table, a variable or a SELECT to a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unify.engine.connection import quote_literal
from unify.engine.exact import describe_query, exact_parquet_query
from unify.engine.files.formats import FileFormat, detect_format, is_compressed
from unify.engine.nested import rows_as_lists_sql
from unify.engine.types import has_row
from unify.engine.types import quote_identifier as quoted
from unify.errors import FileError
from unify.fs.paths import absolute_path
from unify.interpreter.files.reader import translate_file_errors
from unify.interpreter.files.writer import (
    WriteMode,
    check_target,
    join_json_arrays,
    join_text_files,
    replace_file,
)
from unify.interpreter.results import Message
from unify.interpreter.variables import BoundQuery
from unify.lake.lake import Lake
from unify.lake.session_rows import fetch_session_rows
from unify.text import format_count, unique_names

_COPY_OPTIONS = {
    FileFormat.CSV: "FORMAT csv, HEADER true",
    FileFormat.TSV: r"FORMAT csv, HEADER true, DELIMITER '\t'",
    FileFormat.JSON: "FORMAT json, ARRAY true",
    FileFormat.JSONL: "FORMAT json",
    FileFormat.PARQUET: "FORMAT parquet",
}


class FileExporter:
    """Writes files atomically."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake

    def export(self, bound: BoundQuery, path: str, mode: WriteMode) -> Message:
        """Write the rows of a SELECT to a file, which stays unchanged on FileError or QueryError."""
        target = absolute_path(path)
        verb = "appended" if mode == "append" and target.exists() else "written"
        return Message(f"{format_count(self.write(bound, target, mode), 'row')} {verb} to {path}")

    def write(self, bound: BoundQuery, target: Path, mode: WriteMode) -> int:
        """``export`` to an absolute path; return the number of rows."""
        format = detect_format(target.name)
        if format not in (*_COPY_OPTIONS, FileFormat.EXCEL):
            raise FileError(f"{target.name}: Avro files can be read, not written; export Parquet")
        appends = mode == "append" and target.exists()
        if appends and is_compressed(target.name):
            raise FileError(f"{target.name}: cannot append to a compressed file")
        check_target(target, mode)
        with (
            replace_file(target, mode) as new,
            self.lake.repeatable(
                bound.sql, bound.parameters, bound.definitions, spool=format is FileFormat.EXCEL
            ) as (query, parameters),
        ):
            if format is FileFormat.EXCEL:
                rows = self._write_workbook(query, parameters, target, new, appends=appends)
            else:
                rows = self._copy_rows(query, parameters, format, target, new, appends=appends)
                if appends:
                    self._join_existing(query, parameters, format, target, new)
        return rows

    def _copy_rows(
        self, query: str, parameters: object, format: FileFormat, target: Path, new: Path, *, appends: bool
    ) -> int:
        options = _COPY_OPTIONS[format]
        if appends and format in (FileFormat.CSV, FileFormat.TSV):
            options = options.replace("HEADER true", "HEADER false")
        with translate_file_errors(self.lake, target.name):
            if format is FileFormat.PARQUET:
                query = exact_parquet_query(self.lake.connection, query, parameters)
            elif format in (FileFormat.JSON, FileFormat.JSONL):
                query = self._json_query(query, parameters)
            copy = f"COPY (\n{query}\n) TO {quote_literal(str(new))} ({options})"
            row = self.lake.connection.execute(copy, parameters).fetchone()
        return int(row[0]) if row else 0

    def _json_query(self, query: str, parameters: object) -> str:
        """Return ``query`` with unique column names (``a``, ``a_2``) and structs without names as lists."""
        columns = describe_query(self.lake.connection, query, parameters)
        unique = unique_names([name for name, _ in columns], str.lower)
        if unique == [name for name, _ in columns] and not any(has_row(type) for _, type in columns):
            return query
        names = list(map(quoted, unique))
        values = [
            f"{rows_as_lists_sql(name, type)} AS {name}"
            for name, (_, type) in zip(names, columns, strict=True)
        ]
        return f"SELECT {', '.join(values)} FROM (\n{query}\n) AS named({', '.join(names)})"

    def _join_existing(
        self, query: str, parameters: object, format: FileFormat, target: Path, new: Path
    ) -> None:
        """Insert the content of ``target`` before the new rows."""
        match format:
            case FileFormat.CSV | FileFormat.TSV:
                delimiter = "," if format is FileFormat.CSV else "\t"
                join_text_files(target, new, self._column_names(query, parameters), delimiter)
            case FileFormat.JSONL:
                join_text_files(target, new, None)
            case FileFormat.JSON:
                join_json_arrays(target, new)
            case _:
                self._join_parquet(target, new)

    def _join_parquet(self, target: Path, new: Path) -> None:
        both = " UNION ALL BY NAME ".join(
            f"SELECT * FROM read_parquet({quote_literal(str(path))})" for path in (target, new)
        )
        joined = new.with_name(f"{new.name}.joined")
        try:
            with translate_file_errors(self.lake, target.name):
                self.lake.connection.execute(
                    f"COPY ({both}) TO {quote_literal(str(joined))} (FORMAT parquet)"
                )
            joined.replace(new)
        finally:
            joined.unlink(missing_ok=True)

    def _column_names(self, query: str, parameters: object) -> Sequence[str]:
        with translate_file_errors(self.lake, "export"):
            return [name for name, _ in describe_query(self.lake.connection, query, parameters)]

    def _write_workbook(
        self, query: str, parameters: object, target: Path, new: Path, *, appends: bool
    ) -> int:
        from unify.engine.files import excel

        with translate_file_errors(self.lake, target.name):
            columns = describe_query(self.lake.connection, query, parameters)
        names = [name for name, _ in columns]
        excel.check_columns(names)
        excel.check_row_count(self._count_rows(query))
        outcome = self.lake.execute(excel.cell_query(query, [type for _, type in columns]), parameters)
        types = [type.name for _, type in columns]
        batches = ([excel.convert_cells(types, row) for row in batch] for batch in outcome.batches())
        if appends:
            return excel.append_rows(target, new, names, batches)
        return excel.write_rows(new, names, batches)

    def _count_rows(self, query: str) -> int:
        [row] = fetch_session_rows(self.lake, f"SELECT count(*) FROM (\n{query}\n)")
        return int(str(row[0]))
