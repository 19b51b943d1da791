"""Attached databases: extension, secret, hidden alias; the translation of errors of DuckDB about them.

Passwords reach DuckDB as parameters of CREATE SECRET: they are in no SQL text, listing, log or error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.adapters.database.error_messages import server_error
from unify.adapters.relation import HIDDEN_PREFIX
from unify.engine.connection import extension_path, load_extension, quote_literal
from unify.engine.errors import clean_message
from unify.engine.types import quote_identifier as quoted
from unify.errors import ConfigError, Interrupted

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


class ServerAttachment(Struct, frozen=True):
    """How DuckDB reaches a server.

    ``parameters``  of the secret, by their names in DuckDB, such as HOST and PASSWORD.
    ``settings``    of the connection, in the form that the extension takes; no secrets: listings show it.
    ``choices``     further options of ATTACH, in SQL.
    """

    connection: str
    extension: str
    type: str
    extra: str
    parameters: Mapping[str, str]
    settings: str
    choices: tuple[str, ...] = ("READ_ONLY",)

    def attach(self, duck: DuckDBPyConnection) -> None:
        """Attach the server unless this DuckDB has it. Raises ConfigError if the extension is missing."""
        alias = hidden_alias(self.connection)
        if is_attached(duck, alias):
            return
        load_wheel_extension(duck, self.connection, self.extension, self.extra)
        with translate_source_errors(self.connection):
            names = ", ".join(f"{name} ?" for name in self.parameters)
            duck.execute(
                f"CREATE OR REPLACE TEMPORARY SECRET {quoted(alias)} (TYPE {self.type}, {names})",
                list(self.parameters.values()),
            )
            choices = ", ".join((f"TYPE {self.type}", f"SECRET {quoted(alias)}", *self.choices))
            duck.execute(
                f"ATTACH IF NOT EXISTS {quote_literal(self.settings)} AS {quoted(alias)} ({choices})"
            )


def load_wheel_extension(duck: DuckDBPyConnection, connection: str, extension: str, extra: str) -> None:
    """Load an extension of DuckDB from its package; never from the network. Raises ConfigError."""
    from unify.engine import duckdb

    loaded = "SELECT loaded FROM duckdb_extensions() WHERE extension_name = ?"
    if duck.execute(loaded, [extension]).fetchone() == (True,):
        return
    path = extension_path(extension, duckdb.__version__)
    if path is None:
        package = f"'unify-sql[{extra}]'" if extra else f"duckdb-extension-{extension.replace('_', '-')}"
        raise ConfigError(
            f"{connection}: the extension {extension} for DuckDB {duckdb.__version__} is not installed; "
            f"run pip install {package}"
        )
    load_extension(duck, extension, path)


@contextmanager
def translate_source_errors(connection: str) -> Iterator[None]:
    """Turn errors of DuckDB into SourceErrors that name ``connection``, without hidden aliases."""
    from unify.engine import duckdb

    try:
        yield
    except duckdb.InterruptException as error:
        raise Interrupted("the statement was interrupted") from error
    except duckdb.Error as error:
        raise server_error(connection, show_connection_names(clean_message(error))) from error


def show_connection_names(text: str) -> str:
    """Replace hidden aliases in a text by the names of their connections."""
    return _ALIAS.sub(r"\1", text)
