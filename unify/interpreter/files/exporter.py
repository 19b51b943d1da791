"""``export``: the rows of a table, a variable or a SELECT as a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unify.engine.connection import quote_literal
from unify.engine.exact import exact_parquet_query
from unify.errors import FileError
from unify.fs.paths import absolute_path
from unify.interpreter.files.reader import translate_file_errors
from unify.interpreter.files.writer import (
    FileFormat,
    WriteMode,
    check_target,
    detect_format,
    is_compressed,
    join_json_arrays,
    join_text_files,
    replace_file,
)
from unify.interpreter.results import Message
from unify.interpreter.variables import BoundQuery
from unify.lake.lake import Lake
from unify.text import format_count

_COPY_OPTIONS = {
    FileFormat.CSV: "FORMAT csv, HEADER true",
    FileFormat.TSV: r"FORMAT csv, HEADER true, DELIMITER '\t'",
    FileFormat.JSON: "FORMAT json, ARRAY true",
    FileFormat.JSONL: "FORMAT json",
    FileFormat.PARQUET: "FORMAT parquet",
}


class FileExporter:
    """Writes files; each is changed whole or not at all."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake

    def export(self, bound: BoundQuery, path: str, mode: WriteMode) -> Message:
        """Write the rows of a SELECT to a file. Raises FileError or QueryError; no file then."""
        target = absolute_path(path)
        format = detect_format(target.name)
        appends = mode == "append" and target.exists()
        if appends and is_compressed(target.name):
            raise FileError(f"{target.name}: nothing can be appended to a compressed file")
        check_target(target, mode)
        with replace_file(target, mode) as new:
            if format is FileFormat.EXCEL:
                rows = self._write_workbook(bound, target, new, appends=appends)
            else:
                rows = self._copy_rows(bound, format, target, new, appends=appends)
                if appends:
                    self._join_existing(bound, format, target, new)
        return Message(f"{format_count(rows, 'row')} {'appended' if appends else 'written'} to {path}")

    def _copy_rows(
        self, bound: BoundQuery, format: FileFormat, target: Path, new: Path, *, appends: bool
    ) -> int:
        query = bound.sql
        if format is FileFormat.PARQUET:
            with translate_file_errors(self.lake, target.name):
                query = exact_parquet_query(self.lake.connection, query, bound.parameters)
        how = _COPY_OPTIONS[format]
        if appends and format in (FileFormat.CSV, FileFormat.TSV):
            how = how.replace("HEADER true", "HEADER false")
        copy = f"COPY (\n{query}\n) TO {quote_literal(str(new))} ({how})"
        with translate_file_errors(self.lake, target.name):
            row = self.lake.connection.execute(copy, bound.parameters).fetchone()
        return int(row[0]) if row else 0

    def _join_existing(self, bound: BoundQuery, format: FileFormat, target: Path, new: Path) -> None:
        """Put what is in the target before the new rows."""
        match format:
            case FileFormat.CSV | FileFormat.TSV:
                delimiter = "," if format is FileFormat.CSV else "\t"
                join_text_files(target, new, self._column_names(bound), delimiter)
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

    def _column_names(self, bound: BoundQuery) -> Sequence[str]:
        with translate_file_errors(self.lake, "export"):
            rows = self.lake.connection.execute(f"DESCRIBE {bound.sql}", bound.parameters).fetchall()
        return [str(row[0]) for row in rows]

    def _write_workbook(self, bound: BoundQuery, target: Path, new: Path, *, appends: bool) -> int:
        from unify.interpreter.files import excel

        outcome = self.lake.execute(bound.sql, bound.parameters)
        names = [name for name, _ in outcome.columns or ()]
        types = [type for _, type in outcome.columns or ()]
        batches = ([excel.convert_dates(types, row) for row in batch] for batch in outcome.batches())
        if appends:
            return excel.append_rows(target, new, names, batches)
        return excel.write_rows(new, names, batches)
