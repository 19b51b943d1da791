"""Everything that can go wrong, as one tree.

    UnifyError
    ├── UsageError             the command line asks for something that does not exist
    ├── ConfigError            connections.yaml, a spec or a setting is wrong
    │   ├── SpecError          an adapter spec is wrong; ``problems`` lists every mistake
    │   └── UnresolvedSecret   a ${...} reference leads nowhere
    ├── CommandSyntaxError     one of our own commands cannot be read; carries the place
    ├── UnknownName            no such connection, table or column
    ├── QueryError             DuckDB refused the statement
    │   └── NoSuchVersion      a table as it was before anything was stored, or longer ago than is kept
    ├── FileError              a file that a statement names cannot be read or written
    ├── LoadFailed             a load somebody waited for ended without rows
    ├── Interrupted            somebody pressed Ctrl-C; what was running elsewhere goes on
    │   └── StoppedWaiting     a load that was waited for goes on; a second Ctrl-C soon after cancels it
    ├── StoreError             the home folder, the lake or the queue cannot be used
    │   ├── LockTimeout        another process holds a lock of the home folder
    │   └── NewerVersion       a newer version of Unify wrote the files
    ├── DaemonUnreachable      the daemon does not answer
    └── SourceError            the API did not give what was asked
        ├── Unauthorized       401: the credentials were refused
        │   └── SignInNeeded   somebody has to sign in, with a browser or a code
        ├── Forbidden          403: the credentials do not reach this
        ├── NotFound           404
        ├── BadResponse        an answer that cannot be read as rows
        ├── RateLimited        429 and its relatives                     retryable
        ├── Unreachable        no connection, or too slow                retryable
        └── ServerFault        5xx                                       retryable

A class exists where somebody reacts differently to it. Only ``message`` is positional, so that an
error survives the way home from a worker process. ``retryable`` is how the queue reacts;
``exit_status`` is what the process ends with (docs: "Exit status").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class UnifyError(Exception):
    """Something Unify can explain in one sentence: what, where, and what to do."""

    retryable: ClassVar[bool] = False
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UsageError(UnifyError):
    """The command line asks for something that does not exist."""

    exit_status = 2


class ConfigError(UnifyError):
    """A configuration file or setting is wrong; the message starts with its place."""

    exit_status = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file. ``line`` and ``column`` count from 1."""

    path: str
    line: int
    column: int
    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.key}: {self.text}"


class SpecError(ConfigError):
    """An adapter spec is wrong; ``problems`` lists every mistake found, in file order."""

    def __init__(self, message: str, *, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class UnresolvedSecret(ConfigError):
    """A ``${...}`` reference leads nowhere; the message names connection, option and reference."""


class CommandSyntaxError(UnifyError):
    """One of our own commands cannot be read.

    ``line`` and ``column`` count from 1 within ``source``, the whole statement;
    ``expected`` holds what would have fitted, in the words a user types.
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
    """No connection, table or column of this name; the message offers the nearest."""


class QueryError(UnifyError):
    """DuckDB refused the statement; ``message`` is its explanation, pointer line included."""


class NoSuchVersion(QueryError):
    """Nothing had been stored by then, or what was is no longer kept."""


class FileError(UnifyError):
    """A file that a statement names cannot be read, written or replaced; the message names it."""


class LoadFailed(UnifyError):
    """A load somebody waited for ended without rows; the message names table and reason."""


class Interrupted(UnifyError):
    """Somebody pressed Ctrl-C; the message says what goes on without them."""

    exit_status = 130


class StoppedWaiting(Interrupted):
    """Ctrl-C while loads were waited for: they go on, and a second Ctrl-C soon after cancels them."""


class StoreError(UnifyError):
    """The home folder, the lake or the queue cannot be used; the message names the path."""


class LockTimeout(StoreError):
    """Another process still holds a lock; the message names the lock and its holder."""


class NewerVersion(StoreError):
    """A newer version of Unify wrote the home folder's files."""


class DaemonUnreachable(UnifyError):
    """The daemon does not answer, or does not start."""


class SourceError(UnifyError):
    """The API did not give what was asked; the message names address, status and reason."""


class Unauthorized(SourceError):
    """401: the credentials were refused."""


class SignInNeeded(Unauthorized):
    """Nobody has signed in, or not lately enough: whoever has a person in front lets them."""


class Forbidden(SourceError):
    """403: the credentials are good, but do not reach this."""


class NotFound(SourceError):
    """404: there is nothing at this address, or the credentials may not see it."""


class BadResponse(SourceError):
    """An answer that cannot be read as rows: not the format, cut short, or too large."""


class RateLimited(SourceError):
    """The API asked us to wait; ``retry_after_s`` is None if it did not say how long."""

    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unreachable(SourceError):
    """No connection, or an answer that took longer than the page deadline."""

    retryable = True


class ServerFault(SourceError):
    """5xx: the API itself is in trouble; ``retry_after_s`` is None if it did not say how long."""

    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
