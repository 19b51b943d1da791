"""Variables that outlive a session: one private Parquet file each, in the home folder.

Files are replaced atomically. A scalar is stored as DuckDB's text of it with its type.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from unify.config.settings import create_private_folder
from unify.engine import errors
from unify.engine.connection import quote_literal
from unify.engine.exact import exact_parquet_query
from unify.errors import StoreError
from unify.lake.lake import Lake

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

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(path.stem for path in self.folder.glob(f"*{SUFFIX}")))

    def find(self, lake: Lake, name: str) -> SavedVariable | None:
        """Read the variable; another shell may have changed it. Raises StoreError if the file is damaged."""
        path = self._path(name)
        if not path.is_file():
            return None
        with _translate_errors(path), lake.read_connection() as connection:
            rows = connection.execute("SELECT * FROM read_parquet(?) LIMIT 1", [str(path)])
            if [column[0] for column in rows.description or ()] != [_TYPE_COLUMN, _TEXT_COLUMN]:
                return SavedVariable(name, path)
            row = rows.fetchone() or ("NULL", None)
        return SavedVariable(name, path, str(row[0]), row[1])

    def save_value(self, lake: Lake, name: str, type: str, text: str | None) -> None:
        with self._replace_file(name) as target, lake.read_connection() as connection:
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
        with self._replace_file(name) as target, lake.repeatable(query, parameters, definitions) as rows:
            exact = exact_parquet_query(lake.connection, *rows)
            done = lake.connection.execute(_copy_sql(exact, target), rows[1]).fetchone()
        return int(done[0]) if done else 0

    def delete(self, name: str) -> bool:
        try:
            self._path(name).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreError(f"{self._path(name)}: cannot be removed: {error.strerror}") from error
        return True

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"

    @contextmanager
    def _replace_file(self, name: str) -> Iterator[Path]:
        """Yield a new file that replaces the variable if the block succeeds."""
        import tempfile

        create_private_folder(self.folder)
        path = self._path(name)
        with _translate_errors(path), tempfile.TemporaryDirectory(prefix=".new-", dir=self.folder) as folder:
            target = Path(folder) / path.name
            yield target
            target.chmod(0o600)
            target.replace(path)


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
