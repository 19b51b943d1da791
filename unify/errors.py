"""The error tree.

    UnifyError
    ├── UsageError             invalid command line
    ├── ConfigError            connections.yaml, a spec or a setting is invalid
    │   ├── SpecError          invalid adapter spec; ``problems`` lists every mistake
    │   └── UnresolvedSecret   a ${...} reference cannot be resolved
    ├── CommandSyntaxError     syntax error in a command, with its position
    ├── UnknownName            no such connection, table or column
    ├── QueryError             DuckDB refused the statement
    │   ├── NoSuchVersion      no version of a table for the given time
    │   └── NotPermitted       the user of a server may not run it
    ├── FileError              a file that a statement names cannot be read or written
    ├── LoadFailed             a load that a statement waited for failed
    ├── OutOfMemory            reading from a source took too much memory
    ├── Interrupted            Ctrl-C; work in the daemon goes on
    │   └── StoppedWaiting     stopped waiting for a load; a second Ctrl-C cancels it
    ├── StoreError             the home folder, the lake or the queue cannot be used
    │   ├── DamagedFile        a data file of the lake cannot be read
    │   ├── LockTimeout        another process holds a lock of the home folder
    │   └── NewerVersion       a newer version of Unify wrote the files
    ├── DaemonUnreachable      the daemon does not answer
    └── SourceError            the source failed or refused
        ├── Unauthorized       401: the credentials were rejected
        │   └── SignInNeeded   a person has to sign in, with a browser or a code
        ├── Forbidden          403: the credentials have no access
        ├── NotFound           404
        ├── BadResponse        the response cannot be read as rows
        ├── RateLimited        429 and similar                          retryable
        ├── Unreachable        no connection, or timeout                retryable
        ├── ResponseLost       a write was sent, its response is not known
        └── ServerFault        5xx                                       retryable

A class exists where code handles it differently. Only ``message`` is positional, so that errors can be
pickled. ``retryable``: the queue tries the job again. ``exit_status``: exit status of the process.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct


def escape_surrogates(text: str) -> str:
    """Replace lone surrogates, which no encoding of Unicode has, by their escapes: ``\\ud800``.

    Python's json reads them from responses, and file names that are not UTF-8 have them.
    """
    return text.encode("utf-8", "backslashreplace").decode()


class UnifyError(Exception):
    """An error with a message for users: what failed, where, and what to do."""

    retryable: ClassVar[bool] = False
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        message = escape_surrogates(message)
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class UsageError(UnifyError):
    """Invalid command line."""

    exit_status = 2


class ConfigError(UnifyError):
    """Invalid configuration file or setting; the message starts with its position."""

    exit_status = 2


class Problem(Struct, frozen=True):
    """One mistake in a file. ``line`` and ``column`` count from 1."""

    path: str
    line: int
    column: int
    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.key}: {self.text}"


class SpecError(ConfigError):
    """Invalid adapter spec; ``problems`` lists every mistake in file order."""

    def __init__(self, message: str, *, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class UnresolvedSecret(ConfigError):
    """A ``${...}`` reference cannot be resolved; the message names connection, option and reference."""


class CommandSyntaxError(UnifyError):
    """Syntax error in a command.

    ``line`` and ``column`` count from 1 within ``source``, the whole statement;
    ``expected`` lists what is valid at the position.
    """

    def __init__(
        self,
        message: str,
        *,
        source: str = "",
        line: int = 1,
        column: int = 1,
        expected: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.source = source
        self.line = line
        self.column = column
        self.expected = expected


class UnknownName(UnifyError):
    """Unknown connection, table or column; the message suggests a similar name."""


class QueryError(UnifyError):
    """DuckDB rejected the statement; ``message`` is DuckDB's, with its pointer line."""


class NotPermitted(QueryError):
    """The user of a server may not run the statement."""


class NoSuchVersion(QueryError):
    """Nothing was stored at the given time, or its version has expired."""


class FileError(UnifyError):
    """A file that a statement names cannot be read, written or replaced; the message names it."""


class LoadFailed(UnifyError):
    """A load that a statement waited for failed; the message names table and reason."""


class OutOfMemory(UnifyError):
    """Reading from a source took more memory than allowed; the message names the limit."""


class Interrupted(UnifyError):
    """Ctrl-C; the message says what goes on in the daemon."""

    exit_status = 130


class StoppedWaiting(Interrupted):
    """Ctrl-C while waiting for loads: they go on, and a second Ctrl-C cancels them."""


class StoreError(UnifyError):
    """The home folder, the lake or the queue cannot be used; the message names the path."""


class DamagedFile(StoreError):
    """A data file of the lake cannot be read; the message names table, file and remedy."""


class LockTimeout(StoreError):
    """Another process still holds a lock; the message names the lock and its holder."""


class NewerVersion(StoreError):
    """A newer version of Unify wrote the home folder's files."""


class DaemonUnreachable(UnifyError):
    """The daemon does not answer, or does not start."""


class SourceError(UnifyError):
    """The source failed or refused; the message names address, status and reason."""


class Unauthorized(SourceError):
    """401: the credentials were rejected."""


class SignInNeeded(Unauthorized):
    """No valid sign-in. A session with a user prompt starts one."""


class Forbidden(SourceError):
    """403: the credentials are valid but have no access."""


class NotFound(SourceError):
    """404 or 410: not found, or not visible with these credentials."""


class BadResponse(SourceError):
    """The response cannot be read as rows: wrong format, truncated or too large."""


class RateLimited(SourceError):
    """The API limits the rate of requests; ``retry_after_s`` is None if unknown."""

    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unreachable(SourceError):
    """No connection, or no complete response within the page timeout."""

    retryable = True


class ResponseLost(SourceError):
    """A request that writes was sent, and nothing tells whether it was carried out."""


class BatchRefused(SourceError):
    """A request that writes several rows was refused as a whole."""


class ServerFault(SourceError):
    """5xx: error of the server; ``retry_after_s`` is None if unknown."""

    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
