"""Statements of Unify on the user's connection, which see its temporary relations and open transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from unify.engine import errors
from unify.engine.statements import run_before_last
from unify.lake.lake import Lake


def fetch_session_rows(lake: Lake, sql: str, parameters: object = None) -> list[tuple[object, ...]]:
    """Return all rows of a statement on the user's connection. Takes no lock.

    Raises the errors of ``translate_session_errors``.
    """
    with translate_session_errors(lake):
        return lake.connection.execute(run_before_last(lake.connection, sql), parameters).fetchall()


@contextmanager
def translate_session_errors(lake: Lake) -> Iterator[None]:
    """Translate errors of statements on the user's connection.

    Raises:
        QueryError: DuckDB refused the statement.
        Interrupted: Ctrl-C.
        StoreError: the lake cannot be used.
    """
    from unify.engine import duckdb

    try:
        with lake.watch_interrupts():
            yield
    except (KeyboardInterrupt, RuntimeError) as error:
        if not isinstance(error, KeyboardInterrupt) and not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        raise lake.end_interrupted() from error
    except duckdb.Error as error:
        damaged = lake.explain_damaged_file(error)
        raise damaged or errors.translate_statement_error(error, lake.path) from error
