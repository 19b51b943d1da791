"""The limits of a load: its time, rows and bytes, so that a source without an end does not fill the disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msgspec import Struct

from unify.adapters.spec.model import AdapterSpec, Limits
from unify.config.connections import Connection
from unify.durations import format_duration
from unify.errors import LoadFailed, UnifyError
from unify.sizes import format_size

DEFAULT_LOAD_TIME_S = 24 * 3600.0
DEFAULT_ROWS = 1_000_000_000
DEFAULT_BYTES = 200 * 1024**3  # of response bodies; rows are on the disk as they came until the load ends
PAGES_ADVICE = (
    "If the table is larger, raise the limit, and system retry continues after the last page read; "
    "if the pages never end, correct the spec's paging"
)
TABLE_ADVICE = "If the table is larger, raise the limit; an incremental refresh reads what has changed only"


class Limit(Struct, frozen=True):
    """One limit.

    ``origin``  where it is set: ``connections.yaml:4: github.limits.rows``.
    ``format``  formats a value for messages.
    ``advice``  what to do if it is exceeded.
    """

    value: float
    origin: str
    verb: str
    format: Callable[[float], str]
    advice: str

    def check(self, value: float, table: str) -> None:
        """Raise LoadFailed if ``value`` is greater."""
        if value > self.value:
            raise self.make_error(value, table)

    def make_error(self, value: float, table: str) -> LoadFailed:
        return LoadFailed(
            f"{table}: the load has {self.verb} {self.format(value)}; the limit is "
            f"{self.format(self.value)} ({self.origin}). {self.advice}"
        )


@contextmanager
def limit_time(
    limit: Limit, seconds: Callable[[], float], table: str, cancel: Callable[[], None]
) -> Iterator[None]:
    """Call ``cancel`` in a thread when the load has taken too long. Raises LoadFailed.

    ``seconds``  how long the load has taken.

    What is cancelled may end with any error or with none: the time is the reason.
    """
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        cancel()

    wait_s = min(max(0.0, limit.value - seconds()), threading.TIMEOUT_MAX)
    timer = threading.Timer(wait_s, expire)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (UnifyError, OSError) as error:
        if expired.is_set():
            raise limit.make_error(seconds(), table) from error
        raise
    finally:
        timer.cancel()
        timer.join()  # what it cancels is closed next
    if expired.is_set():
        raise limit.make_error(seconds(), table)


class LoadLimits(Struct, frozen=True):
    """The limits of one load: those of the connection, else of the spec, else the defaults."""

    time: Limit
    rows: Limit
    bytes: Limit


def load_limits(connection: Connection, spec: AdapterSpec | None, advice: str = PAGES_ADVICE) -> LoadLimits:
    """Return the limits of a load from ``connection``; ``spec`` is None if its adapter has none."""
    own = spec.limits if spec is not None else Limits()
    source = _LimitSource(connection, spec)
    time_s, time_at = source.find_value("load_time", own.load_time_s, DEFAULT_LOAD_TIME_S)
    rows, rows_at = source.find_value("rows", own.rows, DEFAULT_ROWS)
    size, size_at = source.find_value("bytes", own.bytes, DEFAULT_BYTES)
    return LoadLimits(
        Limit(time_s, time_at, "taken", _format_seconds, advice),
        Limit(rows, rows_at, "read", _format_rows, advice),
        Limit(size, size_at, "received", _format_bytes, advice),
    )


class _LimitSource(Struct, frozen=True):
    """Where limits are set."""

    connection: Connection
    spec: AdapterSpec | None

    def find_value(self, key: str, of_spec: float | None, default: float) -> tuple[float, str]:
        """Return the value of a limit, and where it is set."""
        connection = self.connection
        if key in connection.limits:
            return connection.limits[key], connection.location(f"limits.{key}")
        if of_spec is not None and self.spec is not None:
            return of_spec, f"limits.{key} of {self.spec.path}"
        return default, f"the default; set limits.{key} of connection {connection.name}"


def _format_seconds(seconds: float) -> str:
    return format_duration(round(seconds) if seconds >= 1 else round(seconds, 2))


def _format_rows(rows: float) -> str:
    return f"{rows:,.0f} rows"


def _format_bytes(size: float) -> str:
    return format_size(int(size))
