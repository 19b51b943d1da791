"""``import`` and ``show files``: rows from files into tables, and which table came from which file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from unify.connections import RESERVED
from unify.errors import FileError, QueryError
from unify.interpreter.fileformats import FileFormat
from unify.interpreter.filereading import Reading, explained, reading
from unify.interpreter.filesources import Found, found
from unify.interpreter.filewriting import Mode
from unify.interpreter.results import Message, Rows, listed
from unify.interpreter.sources import Sources
from unify.model import TableName
from unify.store import catalog
from unify.store.duck import literal, quoted
from unify.store.lake import Lake
from unify.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

# What a table's comment says of each file its rows came from; `show files` reads it there.
_SAID = re.compile(r"^imported (?P<rows>\d+) rows? from (?P<place>.+) at (?P<at>\S+)$", re.MULTILINE)


class Importing:
    """Makes tables of files; each is changed whole or not at all."""

    def __init__(self, lake: Lake, sources: Sources) -> None:
        self.lake = lake
        self.sources = sources

    def load(self, place: str, into: TableName | None, mode: Mode) -> Message:
        """Make a table of a file, of several, or of what is at an address.

        Raises  FileError, QueryError or SourceError, leaving a table as it was.
        """
        with found(place, self.sources.settings.cache) as files, self._readable(files, place) as source:
            name = into or TableName("main", files.table)
            name = name if name.schema else TableName("main", name.table)
            rows = self._store(name, source, mode, place if "://" in place else _shown(files))
        return Message(f"{counted(rows, 'row')} imported into {_spoken(name)}")

    def listing(self, schema: str | None, like: str | None) -> Rows:
        """Which files the tables were imported from; ``like`` is a pattern of SQL's LIKE for the file."""
        rows = [
            (table.name.schema, table.name.table, said["place"], int(said["rows"]), _moment(said["at"]))
            for table in catalog.user_tables(self.lake)
            if schema is None or table.name.schema.lower() == schema.lower()
            for said in _SAID.finditer(table.comment)
            if like is None or self._is_like(said["place"], like)
        ]
        columns = [("schema", "VARCHAR"), ("table", "VARCHAR"), ("file", "VARCHAR"), ("rows", "BIGINT")]
        return listed([*columns, ("imported_at", "TIMESTAMP WITH TIME ZONE")], rows)

    @contextmanager
    def _readable(self, files: Found, place: str) -> Iterator[Reading]:
        """How the files are read; a workbook becomes JSON lines first."""
        if files.format is not FileFormat.EXCEL:
            with explained(self.lake, place):
                source = reading(self.lake, files.paths, files.format)
            with explained(self.lake, place):
                yield source
            return
        from tempfile import TemporaryDirectory

        from unify.settings import private_folder

        private_folder(self.sources.settings.cache)
        cache = self.sources.settings.cache
        with TemporaryDirectory(prefix="excel-", dir=cache) as folder, explained(self.lake, place):
            yield _workbooks(files.paths, Path(folder))

    def _store(self, name: TableName, source: Reading, mode: Mode, place: str) -> int:
        """Make or extend a table, and note where its rows came from, in one transaction."""
        self._refuse_foreign(name)
        there = bool(catalog.columns(self.lake, name))
        if there and mode is None:
            raise FileError(f"there is a table {_spoken(name)} already; end with overwrite or append")
        target = f"lake.{quoted(name.schema)}.{quoted(name.table)}"
        with self._transaction():
            self.lake.execute(f"CREATE SCHEMA IF NOT EXISTS lake.{quoted(name.schema)}")
            if there and mode == "append":
                before, said = self._count(target), self._comment(name)
                self.lake.execute(f"INSERT INTO {target} BY NAME {source.sql}", source.parameters)
            else:
                before, said = 0, ""
                self.lake.execute(f"CREATE OR REPLACE TABLE {target} AS {source.sql}", source.parameters)
            rows = self._count(target) - before
            at = datetime.now(UTC).isoformat(timespec="seconds")
            line = f"imported {rows} {'row' if rows == 1 else 'rows'} from {place} at {at}"
            comment = "\n".join(filter(None, [said, line]))
            self.lake.execute(f"COMMENT ON TABLE {target} IS {literal(comment)}")
        return rows

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """One transaction of our own, unless the user has one open: then theirs decides."""
        own = not self.lake.in_transaction
        if own:
            self.lake.execute("BEGIN")
        try:
            yield
        except BaseException:
            if own:
                self._roll_back()
            raise
        if own:
            self.lake.execute("COMMIT")

    def _roll_back(self) -> None:
        """An error may have ended the transaction already."""
        if self.lake.in_transaction:
            self.lake.execute("ROLLBACK")

    def _refuse_foreign(self, name: TableName) -> None:
        if name.schema.lower() in RESERVED - {"main"}:
            raise FileError(f"the schema {name.schema} is not for tables of your own; choose another")
        if self.sources.has(name.schema) and name.table.lower() in self.sources.tables(name.schema):
            raise QueryError(f"{name} is filled by its connection; import into a table of another name")

    def _comment(self, name: TableName) -> str:
        with self.lake.reading() as connection:
            return catalog.comment_within(connection, name)

    def _count(self, target: str) -> int:
        [batch] = self.lake.execute(f"SELECT count(*) FROM {target}").batches()
        return int(str(batch[0][0]))

    def _is_like(self, place: str, like: str) -> bool:
        return bool(self.lake.read("SELECT ? ILIKE ?", [place, like])[0][0])


def _workbooks(paths: Sequence[Path], folder: Path) -> Reading:
    """A SELECT over workbooks, their columns matched by name."""
    from unify.interpreter import excel

    selects, files = [], {}
    for number, path in enumerate(paths):
        lines = folder / f"{number}.jsonl"
        types = excel.json_lines(excel.read_rows(path), lines)
        if not types:
            raise QueryError(f"{path.name}: its first sheet is empty")
        members = ", ".join(f"c{place}: {literal(type)}" for place, type in enumerate(types.values()))
        columns = ", ".join(f"c{place} AS {quoted(name)}" for place, name in enumerate(types))
        source = f"read_json($f{number}, format = 'newline_delimited', columns = {{{members}}})"
        selects.append(f"SELECT {columns} FROM {source}")
        files[f"f{number}"] = str(lines)
    return Reading(" UNION ALL BY NAME ".join(selects), files)


def _shown(files: Found) -> str:
    first, *others = files.paths
    return f"{first} and {len(others)} more" if others else str(first)


def _spoken(name: TableName) -> str:
    """As it can be typed: a table of ``main`` needs no schema."""
    return name.table if name.schema.lower() == "main" else str(name)


def _moment(text: str) -> datetime | None:
    """When a comment on a table says it was imported; anybody may have changed the comment."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
