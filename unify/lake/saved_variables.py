"""Variables that outlive a session: one private Parquet file each, in the home folder.

Files are replaced atomically, and in a transaction of the user when it is committed. A scalar is stored as
DuckDB's text of it with its type.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.config.settings import create_private_folder
from unify.engine import errors
from unify.engine.connection import quote_literal
from unify.engine.exact import exact_parquet_query
from unify.errors import StoreError
from unify.lake.lake import Lake

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

SUFFIX = ".parquet"
_TYPE_COLUMN, _TEXT_COLUMN = (
    "$type",
    "$text",
)  # columns of a scalar; a SELECT needs quotes to use these names


class SavedVariable(Struct, frozen=True):
    """A saved variable. ``type`` and ``text`` are set for a scalar only."""

    name: str
    path: Path
    type: str | None = None
    text: str | None = None


class SavedVariables:
    """The folder of saved variables, created with the first one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._uncommitted: _UncommittedFiles | None = None

    def names(self) -> tuple[str, ...]:
        names = {path.stem for path in self.folder.glob(f"*{SUFFIX}")}
        if self._uncommitted is not None:
            names = (names | self._uncommitted.written) - self._uncommitted.deleted
        return tuple(sorted(names))

    def find(self, lake: Lake, name: str) -> SavedVariable | None:
        """Read the variable; another shell may have changed it. Raises StoreError if the file is damaged."""
        path = self._path(name) if self._uncommitted is None else self._uncommitted.current_path(name)
        if path is None or not path.is_file():
            return None
        with _translate_errors(path), lake.read_connection() as connection:
            rows = connection.execute("SELECT * FROM read_parquet(?) LIMIT 1", [str(path)])
            if [column[0] for column in rows.description or ()] != [_TYPE_COLUMN, _TEXT_COLUMN]:
                return SavedVariable(name, path)
            row = rows.fetchone() or ("NULL", None)
        return SavedVariable(name, path, str(row[0]), row[1])

    def save_value(self, lake: Lake, name: str, type: str, text: str | None) -> None:
        with self._replace_file(lake, name) as target, lake.read_connection() as connection:
            columns = (
                f'CAST($type AS VARCHAR) AS "{_TYPE_COLUMN}", CAST($text AS VARCHAR) AS "{_TEXT_COLUMN}"'
            )
            query = f"SELECT {columns}"
            connection.execute(_copy_sql(query, target), {"type": type, "text": text})

    def save_rows(
        self, lake: Lake, name: str, query: str, parameters: object, definitions: Sequence[str] = ()
    ) -> int:
        """Save the rows of ``query``, run on the session's connection; return their number.

        Raises:
            QueryError: Parquet would change a value.
        """
        with (
            self._replace_file(lake, name) as target,
            lake.repeatable(query, parameters, definitions) as rows,
        ):
            exact = exact_parquet_query(lake.connection, *rows)
            done = lake.connection.execute(_copy_sql(exact, target), rows[1]).fetchone()
        return int(done[0]) if done else 0

    def delete(self, lake: Lake, name: str) -> None:
        if lake.in_transaction:
            self._open_uncommitted(lake).delete(name)
        else:
            self._remove_file(name)

    def _remove_file(self, name: str) -> None:
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{self._path(name)}: cannot be removed: {error.strerror}") from error

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"

    @contextmanager
    def _replace_file(self, lake: Lake, name: str) -> Iterator[Path]:
        """Yield a new file that replaces the variable if the block succeeds and the transaction commits."""
        create_private_folder(self.folder)
        path = self._path(name)
        with _translate_errors(path), _new_folder(self.folder) as folder:
            target = Path(folder) / path.name
            yield target
            target.chmod(0o600)
            if lake.in_transaction:
                self._open_uncommitted(lake).add(name, target)
            else:
                target.replace(path)

    def _open_uncommitted(self, lake: Lake) -> _UncommittedFiles:
        """The changes of the user's open transaction, which its end keeps or drops."""
        if self._uncommitted is None:
            create_private_folder(self.folder)
            self._uncommitted = _UncommittedFiles(self.folder)
            lake.statements.at_transaction_end(self._end_transaction)
        return self._uncommitted

    def _end_transaction(self, committed: bool) -> None:
        changes, self._uncommitted = self._uncommitted, None
        assert changes is not None
        with changes.folder:
            if not committed:
                return
            for name in changes.written:
                with _translate_errors(self._path(name)):
                    changes.path(name).replace(self._path(name))
            for name in changes.deleted:
                self._remove_file(name)


class _UncommittedFiles:
    """Variables that an open transaction has written, in a folder of their own, or deleted."""

    def __init__(self, saved: Path) -> None:
        self._saved = saved
        self.folder = _new_folder(saved)
        self.written: set[str] = set()
        self.deleted: set[str] = set()

    def path(self, name: str) -> Path:
        return Path(self.folder.name) / f"{name}{SUFFIX}"

    def current_path(self, name: str) -> Path | None:
        """The file of a variable as the transaction sees it; None if the transaction has deleted it."""
        if name in self.deleted:
            return None
        return self.path(name) if name in self.written else self._saved / f"{name}{SUFFIX}"

    def add(self, name: str, file: Path) -> None:
        file.replace(self.path(name))
        self.written.add(name)
        self.deleted.discard(name)

    def delete(self, name: str) -> None:
        self.written.discard(name)
        self.deleted.add(name)


def _new_folder(parent: Path) -> TemporaryDirectory[str]:
    """Return a folder on the same file system, which is removed when it is closed."""
    from tempfile import TemporaryDirectory

    return TemporaryDirectory(prefix=".new-", dir=parent)


def read_parquet_sql(path: Path) -> str:
    """Return a SQL table expression for a saved variable."""
    return f"read_parquet({quote_literal(os.fspath(path))})"


def _copy_sql(query: str, target: Path) -> str:
    return f"COPY (\n{query}\n) TO {quote_literal(os.fspath(target))} (FORMAT parquet)"


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    from unify.engine import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise errors.translate_statement_error(error, path) from error
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
