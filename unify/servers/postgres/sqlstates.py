"""SQLSTATE of errors, as in appendix A of PostgreSQL's documentation."""

from __future__ import annotations

import re

from unify.errors import (
    CommandSyntaxError,
    DaemonUnreachable,
    Interrupted,
    LoadFailed,
    NotPermitted,
    QueryError,
    StoreError,
    UnifyError,
    UnknownName,
    UsageError,
)

SYNTAX_ERROR = "42601"
UNDEFINED_TABLE = "42P01"
UNDEFINED_COLUMN = "42703"
UNDEFINED_FUNCTION = "42883"
UNDEFINED_OBJECT = "42704"
FEATURE_NOT_SUPPORTED = "0A000"
INSUFFICIENT_PRIVILEGE = "42501"
OBJECT_NOT_IN_PREREQUISITE_STATE = "55000"
QUERY_CANCELED = "57014"
IN_FAILED_TRANSACTION = "25P02"
INVALID_PARAMETER_VALUE = "22023"
INVALID_TEXT_REPRESENTATION = "22P02"
INVALID_CURSOR_NAME = "34000"
DUPLICATE_CURSOR = "42P03"
INVALID_STATEMENT_NAME = "26000"
DUPLICATE_STATEMENT = "42P05"
PROTOCOL_VIOLATION = "08P01"
TOO_MANY_CONNECTIONS = "53300"
INVALID_PASSWORD = "28P01"
INVALID_AUTHORIZATION = "28000"
CANNOT_CONNECT_NOW = "57P03"
ADMIN_SHUTDOWN = "57P01"
EXTERNAL_ERROR = "HV000"
IO_ERROR = "58030"
INTERNAL_ERROR = "XX000"
_DUCKDB_CLASSES = {
    "ParserException": SYNTAX_ERROR,
    "ConversionException": INVALID_TEXT_REPRESENTATION,
    "OutOfRangeException": "22003",
    "InvalidInputException": INVALID_PARAMETER_VALUE,
    "OutOfMemoryException": "53200",
    "NotImplementedException": FEATURE_NOT_SUPPORTED,
    "TypeMismatchException": "42804",
}
_NO_TABLE = re.compile(r"(?i)\b(?:table|view)\b.* does not exist|relation .* does not exist")
_NO_SCHEMA = re.compile(r"(?i)\bschema\b.* does not exist")
_NO_COLUMN = re.compile(r"(?i)column .* not found|column .* does not exist|does not have a column")
_NO_FUNCTION = re.compile(r"(?i)function .* does not exist|no function matches|choose a best candidate")
_SYNTAX = re.compile(r"(?i)^syntax error|^the statement cannot be read|^the statement is not a SELECT but")


class ClientError(UnifyError):
    """An error of the protocol or of a statement about the session, with its SQLSTATE."""

    def __init__(self, message: str, sqlstate: str = SYNTAX_ERROR) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


def sqlstate_of(error: UnifyError) -> str:
    """Return the SQLSTATE of an error."""
    match error:
        case ClientError():
            return error.sqlstate
        case NotPermitted():
            is_unloaded = "is not loaded" in error.message
            return OBJECT_NOT_IN_PREREQUISITE_STATE if is_unloaded else INSUFFICIENT_PRIVILEGE
        case QueryError() | UnknownName():
            return _query_state(error)
        case CommandSyntaxError():
            return SYNTAX_ERROR
        case Interrupted():
            return QUERY_CANCELED
        case LoadFailed():
            return EXTERNAL_ERROR
        case DaemonUnreachable():
            return CANNOT_CONNECT_NOW
        case UsageError():
            return INVALID_PARAMETER_VALUE
        case StoreError():
            return IO_ERROR
        case _:
            return INTERNAL_ERROR


def is_unknown_syntax(error: QueryError) -> bool:
    """Whether a statement uses a function or syntax that DuckDB does not know, or that is not allowed."""
    is_refused = "calls the function" in error.message
    return is_refused or _query_state(error) in (UNDEFINED_FUNCTION, SYNTAX_ERROR)


def _query_state(error: UnifyError) -> str:
    known = _DUCKDB_CLASSES.get(type(error.__cause__).__name__)
    if known is not None:
        return known
    for pattern, state in (
        (_SYNTAX, SYNTAX_ERROR),
        (_NO_TABLE, UNDEFINED_TABLE),
        (_NO_SCHEMA, "3F000"),
        (_NO_COLUMN, UNDEFINED_COLUMN),
        (_NO_FUNCTION, UNDEFINED_FUNCTION),
    ):
        if pattern.search(error.message):
            return state
    if "Only SELECT" in error.message:
        return FEATURE_NOT_SUPPORTED
    return UNDEFINED_OBJECT if isinstance(error, UnknownName) else "42000"
