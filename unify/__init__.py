"""Unify: SQL over the APIs that a team uses. This module owns the public names of the package.

Modules that every package may import:

    errors       all exceptions, as one tree
    model        data that packages exchange: tables, columns, jobs, load status, ledger rows
    text         text for people: escaped for terminals, counts, ages, spelling suggestions
    durations    parses and formats durations such as `15m` and `2 days`
    sizes        parses and formats sizes such as `20 GB`
    patterns     regular expressions that are compiled when they are first used
    redaction    replaces secrets in messages, logs and addresses with ***
    version      the version of Unify
    imports      keeps packages out of Unify's own processes that nothing there needs

Packages, lowest layer first:

    fs           files: durable writes, locks between processes, failpoints for crash tests
    engine       the DuckDB library: connections, types, exact numbers, tokenizer, errors
    config       settings, connections.yaml, secrets, YAML with line numbers
    language     from the text of a statement to a typed command; the tables and conditions of SQL
    adapters     sources of rows: REST APIs described by YAML specs, adapter classes of Python packages
    lake         the warehouse: DuckLake storage, catalog, load ledger, locking, maintenance
    queue        the job queue in SQLite: loads, schedules, script runs
    activity     what the clients of servers and agents have run
    writes       planned and sent writes, and what became of each row
    status       messages between the daemon and its clients
    convert      rows as JSON text to typed Parquet files: schema inference, casts
    load         one attempt of one load job, in a worker process
    interpreter  one session: runs each statement and returns its result
    sender       sends the rows of approved writes, in a worker process
    notebooks    runs Jupyter notebooks in kernels of their own
    publish      makes a staged load visible in the lake, in one transaction
    render       output: result formats, charts, pager, messages, progress
    daemon       the background process: runs jobs, publishes loads, runs scheduled scripts
    homes        a home folder as a whole: checked, repaired, backed up and restored
    servers      servers: HTTP with SQL, metrics and health; agents over MCP; users and tokens
    shell        the interactive prompt and the script runner
    authoring    tools for authors of specs: test cases, mock API, sample, JSON schema, documentation
    importers    foreign descriptions of APIs as specs: Airbyte, OpenAPI, dlt, Postman, HAR, curl
    cli          the `unify` command: arguments, subcommands, wiring of the parts
    api          Python programs: unify.connect (DB-API 2.0), unify.open, data frames, Jupyter
    demo         a sample API, for trying Unify without an account

Start with interpreter.interpreter to follow a statement, with daemon.dispatcher and load.loader to follow a
load, with adapters.base to write an adapter. `python -m unify` runs cli.main.
A public name is imported when it is first used, so that start-up stays fast. The package `loading` only keeps
old module names for one release.
May import: version; the modules of the public names, when a name is first used. Contracts of all packages:
pyproject.toml.
"""

from __future__ import annotations

import sys
from types import ModuleType

from unify.version import VERSION as __version__  # noqa: N811 - the name that programs look for

TYPE_CHECKING = False  # as in typing, which takes 6 ms to import
if TYPE_CHECKING:
    from typing import Any

    from unify.adapters.base import Adapter, Check, Listeners, Page, Read, Traffic
    from unify.adapters.rest.adapter import RESTAdapter
    from unify.adapters.spec.elements import Option
    from unify.api.dbapi import (
        BINARY,
        DATETIME,
        NUMBER,
        ROWID,
        STRING,
        Binary,
        DatabaseConnection,
        DatabaseCursor,
        DatabaseError,
        DataError,
        Date,
        DateFromTicks,
        Error,
        IntegrityError,
        InterfaceError,
        InternalError,
        NotSupportedError,
        OperationalError,
        ProgrammingError,
        Time,
        TimeFromTicks,
        Timestamp,
        TimestampFromTicks,
        Warning,
        apilevel,
        connect,
        paramstyle,
        threadsafety,
    )
    from unify.api.session import PythonSession, QueryResult, open
    from unify.api.shortcuts import load, tables
    from unify.config.connections import Connection
    from unify.config.secrets import Secret
    from unify.interpreter.interpreter import Interpreter
    from unify.interpreter.state import TableState
    from unify.load.loader import TableLoader
    from unify.model import Column, LoaderJob, LoaderStatus, LoadRecord, TableDef

_LAZY_EXPORTS = {
    "Adapter": "unify.adapters.base",
    "BINARY": "unify.api.dbapi",
    "Binary": "unify.api.dbapi",
    "Check": "unify.adapters.base",
    "Column": "unify.model",
    "Connection": "unify.config.connections",
    "DATETIME": "unify.api.dbapi",
    "DataError": "unify.api.dbapi",
    "DatabaseConnection": "unify.api.dbapi",
    "DatabaseCursor": "unify.api.dbapi",
    "DatabaseError": "unify.api.dbapi",
    "Date": "unify.api.dbapi",
    "DateFromTicks": "unify.api.dbapi",
    "Error": "unify.api.dbapi",
    "IntegrityError": "unify.api.dbapi",
    "InterfaceError": "unify.api.dbapi",
    "InternalError": "unify.api.dbapi",
    "Interpreter": "unify.interpreter.interpreter",
    "Listeners": "unify.adapters.base",
    "LoadRecord": "unify.model",
    "LoaderJob": "unify.model",
    "LoaderStatus": "unify.model",
    "NUMBER": "unify.api.dbapi",
    "NotSupportedError": "unify.api.dbapi",
    "OperationalError": "unify.api.dbapi",
    "Option": "unify.adapters.spec.elements",
    "Page": "unify.adapters.base",
    "ProgrammingError": "unify.api.dbapi",
    "PythonSession": "unify.api.session",
    "QueryResult": "unify.api.session",
    "RESTAdapter": "unify.adapters.rest.adapter",
    "ROWID": "unify.api.dbapi",
    "Read": "unify.adapters.base",
    "STRING": "unify.api.dbapi",
    "Secret": "unify.config.secrets",
    "TableDef": "unify.model",
    "TableLoader": "unify.load.loader",
    "TableState": "unify.interpreter.state",
    "Time": "unify.api.dbapi",
    "TimeFromTicks": "unify.api.dbapi",
    "Timestamp": "unify.api.dbapi",
    "TimestampFromTicks": "unify.api.dbapi",
    "Traffic": "unify.adapters.base",
    "Warning": "unify.api.dbapi",
    "apilevel": "unify.api.dbapi",
    "connect": "unify.api.dbapi",
    "load": "unify",
    "load_ipython_extension": "unify.api.jupyter",
    "open": "unify.api.session",
    "paramstyle": "unify.api.dbapi",
    "tables": "unify.api.shortcuts",
    "threadsafety": "unify.api.dbapi",
}

__all__ = [
    "BINARY",
    "DATETIME",
    "NUMBER",
    "ROWID",
    "STRING",
    "Adapter",
    "Binary",
    "Check",
    "Column",
    "Connection",
    "DataError",
    "DatabaseConnection",
    "DatabaseCursor",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "Interpreter",
    "Listeners",
    "LoadRecord",
    "LoaderJob",
    "LoaderStatus",
    "NotSupportedError",
    "OperationalError",
    "Option",
    "Page",
    "ProgrammingError",
    "PythonSession",
    "QueryResult",
    "RESTAdapter",
    "Read",
    "Secret",
    "TableDef",
    "TableLoader",
    "TableState",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "Traffic",
    "Warning",
    "__version__",
    "apilevel",
    "connect",
    "load",
    "open",
    "paramstyle",
    "tables",
    "threadsafety",
]


class _PublicModule(ModuleType):
    """The module ``unify``, whose package ``load`` is also a function: ``unify.load("github.pulls")``."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "load" and isinstance(value, ModuleType):
            value.__class__ = _CallablePackage
        super().__setattr__(name, value)


class _CallablePackage(ModuleType):
    """The package ``unify.load``, which the import of one of its modules makes an attribute of ``unify``."""

    def __call__(self, *arguments: Any, **options: Any) -> LoadRecord:
        from unify.api.shortcuts import load

        return load(*arguments, **options)


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _LAZY_EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    if name == "load":
        return import_module("unify.load")
    value = getattr(import_module(_LAZY_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


sys.modules[__name__].__class__ = _PublicModule
