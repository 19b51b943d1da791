"""The messages of database servers within DuckDB's errors, and the errors of Unify that they are.

DuckDB puts the statement that it sent, or a COPY around it, before the message of the server.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from unify.errors import (
    Forbidden,
    Interrupted,
    NotFound,
    SourceError,
    Unauthorized,
    UnifyError,
    Unreachable,
)

ERROR_MARK = "unify: "  # starts the text of an error that a statement of an adapter raises

_SEVERITY = re.compile(r"\b[A-ZÀ-Ý]{4,}:  ")  # ERROR, FATAL, also in the language of the server
_MARKED = re.compile(rf'{ERROR_MARK}(?P<text>.*?)"?$', re.DOTALL)
_SQLITE_ERROR = re.compile(r'^Failed to prepare query ".*?": (?P<text>near ".*|no such .*)$', re.DOTALL)
_MYSQL_ERROR = re.compile(r'^Failed to (?:prepare|execute|run|fetch)[^"]*".*": (?P<text>[^"].*)$', re.DOTALL)
_PREFIX = re.compile(
    r'^(?:Unable to connect to Postgres at|Failed to connect to MySQL database with parameters) "[^"]*": '
)
_POSITION = re.compile(r"\s*^LINE \d+:.*", re.DOTALL | re.MULTILINE)
_SAME_NAMES = re.compile(r'table "\w+_query" has duplicate column name "(.*?)"')
_HINT = "\n\tIs the server running"

_CLASSES: Sequence[tuple[re.Pattern[str], type[UnifyError], str]] = tuple(
    (re.compile(pattern), found, advice)
    for pattern, found, advice in (
        (
            "canceling statement due to user request|Query execution was interrupted(?!.*exceeded)",
            Interrupted,
            "",
        ),
        (
            "statement timeout|max_statement_time|maximum statement execution time|exceeded.*statement_time",
            SourceError,
            "; narrow the query, or set the option statement_timeout to more",
        ),
        (
            "password authentication failed|no password supplied|no pg_hba.conf entry|authentication failed"
            r"|role \".*\" does not exist|Access denied for user",
            Unauthorized,
            "",
        ),
        ("permission denied|command denied", Forbidden, ""),
        (
            "[Cc]onnection refused|could not translate host name|timeout expired|server closed the connection"
            "|terminating connection|no connection to the server|Network is unreachable|SSL SYSCALL"
            "|is starting up|is shutting down|in recovery mode|too many (?:clients|connections)"
            "|remaining connection slots|conflict with recovery|Unable to connect"
            "|could not (?:receive|send) data"
            "|connection to server .* failed|Can't connect|Lost connection|gone away|Unknown .*server host",
            Unreachable,
            "",
        ),
        ("does not exist|doesn't exist|Unknown database|Unknown column", NotFound, ""),
    )
)
_MIXED_ARRAY = (
    "an array has more dimensions than its column is declared with; read the column as text: "
    "columns: {NAME: varchar} in the settings of the table"
)


def server_error(connection: str, message: str) -> UnifyError:
    """Return the error for a message of DuckDB (without its class) about a database."""
    text = _server_text(message)
    if marked := _MARKED.search(text):
        return SourceError(f"{connection}: {marked['text']}")
    if repeated := _SAME_NAMES.search(text):
        return SourceError(
            f'{connection}: two columns are called "{repeated[1]}"; give each its own name with as'
        )
    if "Expected an array with" in text:
        return SourceError(f"{connection}: {_MIXED_ARRAY}")
    for pattern, found, advice in _CLASSES:
        if pattern.search(text):
            return found(f"{connection}: {text}{advice}")
    return SourceError(f"{connection}: {text}")


def _server_text(message: str) -> str:
    """Return what the server said, without the statement and with the position only in a user's own SQL."""
    is_own_sql = "COPY (SELECT" not in message
    places = [found.end() for found in _SEVERITY.finditer(message)]
    text = message[places[-1] :] if places else message
    if not places and (found := _SQLITE_ERROR.match(message) or _MYSQL_ERROR.match(message)):
        text = found["text"]
    text = _PREFIX.sub("", text).partition(_HINT)[0]
    lines = text if is_own_sql else _POSITION.sub("", text)
    return _without_duckdb_position(lines).strip()


def _without_duckdb_position(text: str) -> str:
    """Remove DuckDB's own position: the call of its function, which the user has not written."""
    found = re.search(r"\n+LINE \d+: .*(?:postgres|mysql|sqlite)_(?:query|execute)", text)
    return text[: found.start()] if found else text
