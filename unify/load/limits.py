"""The limits of a load: its time, rows and bytes, so that a source without an end does not fill the disk."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from unify.adapters.spec.model import Limits
from unify.durations import format_duration
from unify.errors import LoadFailed
from unify.load.plan import LoadSource
from unify.sizes import format_size

DEFAULT_LOAD_TIME_S = 24 * 3600.0
DEFAULT_ROWS = 1_000_000_000
DEFAULT_BYTES = 200 * 1024**3  # of response bodies; rows are on the disk as they came until the load ends


class Limit(Struct, frozen=True):
    """One limit.

    ``origin``  where it is set: ``connections.yaml:4: github.limits.rows``.
    ``format``  formats a value for messages.
    """

    value: float
    origin: str
    verb: str
    format: Callable[[float], str]

    def check(self, value: float, table: str) -> None:
        """Raise LoadFailed if ``value`` is greater."""
        if value > self.value:
            raise LoadFailed(
                f"{table}: the load has {self.verb} {self.format(value)}; the limit is "
                f"{self.format(self.value)} ({self.origin}). If the table is larger, raise the limit, and "
                "system retry continues after the last page read; if the pages never end, "
                "correct the spec's paging"
            )


class LoadLimits(Struct, frozen=True):
    """The limits of one load: those of the connection, else of the spec, else the defaults."""

    time: Limit
    rows: Limit
    bytes: Limit


def load_limits(source: LoadSource) -> LoadLimits:
    """Return the limits of a load from ``source``."""
    spec = source.spec.limits if source.spec is not None else Limits()
    time_s, time_at = _find_value(source, "load_time", spec.load_time_s, DEFAULT_LOAD_TIME_S)
    rows, rows_at = _find_value(source, "rows", spec.rows, DEFAULT_ROWS)
    size, size_at = _find_value(source, "bytes", spec.bytes, DEFAULT_BYTES)
    return LoadLimits(
        Limit(time_s, time_at, "taken", _format_seconds),
        Limit(rows, rows_at, "read", _format_rows),
        Limit(size, size_at, "received", _format_bytes),
    )


def _find_value(source: LoadSource, key: str, of_spec: float | None, default: float) -> tuple[float, str]:
    """Return the value of a limit, and where it is set."""
    connection, spec = source.connection, source.spec
    if key in connection.limits:
        return connection.limits[key], connection.location(f"limits.{key}")
    if of_spec is not None and spec is not None:
        return of_spec, f"limits.{key} of {spec.path}"
    return default, f"the default; set limits.{key} of connection {connection.name}"


def _format_seconds(seconds: float) -> str:
    return format_duration(round(seconds) if seconds >= 1 else round(seconds, 2))


def _format_rows(rows: float) -> str:
    return f"{rows:,.0f} rows"


def _format_bytes(size: float) -> str:
    return format_size(int(size))
