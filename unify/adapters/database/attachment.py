"""Attached databases: their hidden aliases, and the translation of errors of DuckDB about them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from unify.adapters.relation import HIDDEN_PREFIX
from unify.engine.errors import clean_message
from unify.errors import Interrupted, SourceError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_ALIAS = re.compile(rf'"?{HIDDEN_PREFIX}source_(\w+?)"?(?=\W|$)')


def hidden_alias(connection: str) -> str:
    """Return the alias under which the database of ``connection`` is attached."""
    return f"{HIDDEN_PREFIX}source_{connection.lower()}"


def is_attached(duck: DuckDBPyConnection, alias: str) -> bool:
    """Whether this DuckDB has attached the database, in this or another cursor."""
    found = duck.execute("SELECT 1 FROM duckdb_databases() WHERE database_name = ?", [alias]).fetchone()
    return found is not None


@contextmanager
def translate_source_errors(connection: str) -> Iterator[None]:
    """Turn errors of DuckDB into SourceErrors that name ``connection``, without hidden aliases."""
    from unify.engine import duckdb

    try:
        yield
    except duckdb.InterruptException as error:
        raise Interrupted("the statement was interrupted") from error
    except duckdb.Error as error:
        raise SourceError(f"{connection}: {show_connection_names(clean_message(error))}") from error


def show_connection_names(text: str) -> str:
    """Replace hidden aliases in a text by the names of their connections."""
    return _ALIAS.sub(r"\1", text)
