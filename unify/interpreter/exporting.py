"""``export``: the rows of a table, a variable or a SELECT as a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unify.errors import FileError
from unify.interpreter.fileformats import FileFormat, format_of, is_packed
from unify.interpreter.filereading import explained
from unify.interpreter.filewriting import Mode, append_array, append_text, refuse_existing, replacing
from unify.interpreter.results import Message
from unify.interpreter.variables import Bound
from unify.store.duck import literal
from unify.store.exactcopy import exact_for_parquet
from unify.store.lake import Lake
from unify.text import counted

_WRITTEN = {
    FileFormat.CSV: "FORMAT csv, HEADER true",
    FileFormat.TSV: r"FORMAT csv, HEADER true, DELIMITER '\t'",
    FileFormat.JSON: "FORMAT json, ARRAY true",
    FileFormat.JSONL: "FORMAT json",
    FileFormat.PARQUET: "FORMAT parquet",
}


class Exporting:
    """Writes files; each is changed whole or not at all."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake

    def save(self, bound: Bound, place: str, mode: Mode) -> Message:
        """Write the rows of a SELECT to a file. Raises FileError or QueryError; no file then."""
        target = Path(place).expanduser().absolute()
        format = format_of(target.name)
        appends = mode == "append" and target.exists()
        if appends and is_packed(target.name):
            raise FileError(f"{target.name}: nothing can be appended to a compressed file")
        refuse_existing(target, mode)
        with replacing(target, mode) as new:
            if format is FileFormat.EXCEL:
                rows = self._save_workbook(bound, target, new, appends=appends)
            else:
                rows = self._copy(bound, format, target, new, appends=appends)
                if appends:
                    self._join(bound, format, target, new)
        return Message(f"{counted(rows, 'row')} {'appended' if appends else 'written'} to {place}")

    def _copy(self, bound: Bound, format: FileFormat, target: Path, new: Path, *, appends: bool) -> int:
        query = bound.sql
        if format is FileFormat.PARQUET:
            with explained(self.lake, target.name):
                query = exact_for_parquet(self.lake.connection, query, bound.parameters)
        how = _WRITTEN[format]
        if appends and format in (FileFormat.CSV, FileFormat.TSV):
            how = how.replace("HEADER true", "HEADER false")
        copy = f"COPY (\n{query}\n) TO {literal(str(new))} ({how})"
        with explained(self.lake, target.name):
            row = self.lake.connection.execute(copy, bound.parameters).fetchone()
        return int(row[0]) if row else 0

    def _join(self, bound: Bound, format: FileFormat, target: Path, new: Path) -> None:
        """Put what is in the target before the new rows."""
        match format:
            case FileFormat.CSV | FileFormat.TSV:
                delimiter = "," if format is FileFormat.CSV else "\t"
                append_text(target, new, self._header(bound), delimiter)
            case FileFormat.JSONL:
                append_text(target, new, None)
            case FileFormat.JSON:
                append_array(target, new)
            case _:
                self._join_parquet(target, new)

    def _join_parquet(self, target: Path, new: Path) -> None:
        both = " UNION ALL BY NAME ".join(
            f"SELECT * FROM read_parquet({literal(str(path))})" for path in (target, new)
        )
        joined = new.with_name(f"{new.name}.joined")
        try:
            with explained(self.lake, target.name):
                self.lake.connection.execute(f"COPY ({both}) TO {literal(str(joined))} (FORMAT parquet)")
            joined.replace(new)
        finally:
            joined.unlink(missing_ok=True)

    def _header(self, bound: Bound) -> Sequence[str]:
        with explained(self.lake, "export"):
            rows = self.lake.connection.execute(f"DESCRIBE {bound.sql}", bound.parameters).fetchall()
        return [str(row[0]) for row in rows]

    def _save_workbook(self, bound: Bound, target: Path, new: Path, *, appends: bool) -> int:
        from unify.interpreter import excel

        outcome = self.lake.execute(bound.sql, bound.parameters)
        names = [name for name, _ in outcome.columns or ()]
        types = [type for _, type in outcome.columns or ()]
        batches = ([excel.typed(types, row) for row in batch] for batch in outcome.batches())
        if appends:
            return excel.append_rows(target, new, names, batches)
        return excel.write_rows(new, names, batches)
