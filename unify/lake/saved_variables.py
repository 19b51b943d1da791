"""Variables that outlive a session: one private Parquet file each, in the home folder.

A file is written whole and then put in its place, so that other shells see the old value or the new
one. A single value is kept as DuckDB's text of it, beside its type.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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
)  # the columns of a single value; no SELECT without quotes can name so


@dataclass(frozen=True, slots=True)
class SavedVariable:
    """A variable in the home folder. ``type`` and ``text`` are those of a single value, else None."""

    name: str
    path: Path
    type: str | None = None
    text: str | None = None


class SavedVariables:
    """The folder of variables; it is made when the first is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(path.stem for path in self.folder.glob(f"*{SUFFIX}")))

    def find(self, lake: Lake, name: str) -> SavedVariable | None:
        """The variable as it is now; another shell may have set it. Raises StoreError if it is damaged."""
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
            query = f'SELECT CAST($type AS VARCHAR) AS "{_TYPE_COLUMN}", CAST($text AS VARCHAR) AS "{_TEXT_COLUMN}"'
            connection.execute(_copy_sql(query, target), {"type": type, "text": text})

    def save_rows(
        self, lake: Lake, name: str, query: str, parameters: object, definitions: Sequence[str] = ()
    ) -> int:
        """Keep the rows of ``query`` as the session sees them; how many there are.

        Raises QueryError for values that Parquet would change.
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
        """A new file that takes the variable's place when the block ends well."""
        create_private_folder(self.folder)
        path = self._path(name)
        with _translate_errors(path), tempfile.TemporaryDirectory(prefix=".new-", dir=self.folder) as folder:
            target = Path(folder) / path.name
            yield target
            target.chmod(0o600)
            target.replace(path)


def read_parquet_sql(path: Path) -> str:
    """The rows of a kept variable, as a table in SQL."""
    return f"read_parquet({quote_literal(os.fspath(path))})"


def _copy_sql(query: str, target: Path) -> str:
    return f"COPY (\n{query}\n) TO {quote_literal(os.fspath(target))} (FORMAT parquet)"


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise errors.translate_statement_error(error, path) from error
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
