"""The exceptions of PEP 249, and how errors of Unify become them.

Error (a UnifyError, with its message)
├── InterfaceError          the connection or cursor is closed
└── DatabaseError
    ├── DataError           a value cannot be converted or is out of range
    ├── OperationalError    a load failed, the home or a source cannot be used, interrupted
    ├── IntegrityError      a constraint
    ├── InternalError       a fault in DuckDB
    ├── ProgrammingError    a mistake in the statement, its names or its parameters
    └── NotSupportedError   DuckDB or Unify has no such feature
Warning                     is not raised
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from unify import errors
from unify.errors import UnifyError


class Warning(Exception):
    """Required by PEP 249; Unify reports warnings as ``connection.notices``."""


class Error(UnifyError):
    """The base of the others. ``__cause__`` is the error of Unify, such as LoadFailed."""


class InterfaceError(Error):
    """The connection or cursor is closed."""


class DatabaseError(Error):
    """An error of a statement."""


class DataError(DatabaseError):
    """A value cannot be converted, or is out of range."""


class OperationalError(DatabaseError):
    """A load failed; the home folder, the daemon or a source cannot be used; interrupted."""


class IntegrityError(DatabaseError):
    """A constraint is violated."""


class InternalError(DatabaseError):
    """A fault in DuckDB."""


class ProgrammingError(DatabaseError):
    """A mistake in the statement, the names in it, or the parameters."""


class NotSupportedError(DatabaseError):
    """A feature that does not exist."""


_OF_DUCKDB = (
    ("Conversion Error", DataError),
    ("Out of Range Error", DataError),
    ("Constraint Error", IntegrityError),
    ("Not implemented Error", NotSupportedError),
    ("INTERNAL Error", InternalError),
    ("IO Error", OperationalError),
    ("Out of Memory Error", OperationalError),
)
_MISTAKES = (errors.UsageError, errors.CommandSyntaxError, errors.UnknownName, errors.QueryError)


def to_database_error(error: UnifyError) -> Error:
    """Return the exception of PEP 249 for an error of Unify."""
    if isinstance(error, Error):
        return error
    if isinstance(error, errors.QueryError):
        for start, kind in _OF_DUCKDB:
            if str(error.__cause__).startswith(start):
                return kind(error.message)
    return (ProgrammingError if isinstance(error, _MISTAKES) else OperationalError)(error.message)


@contextmanager
def database_errors() -> Iterator[None]:
    """Raise errors of Unify in the block as those of PEP 249."""
    try:
        yield
    except Error:
        raise
    except UnifyError as error:
        raise to_database_error(error) from error
