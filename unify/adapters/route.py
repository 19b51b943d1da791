"""Where a connection's requests may go, how long each may take, and how large an answer may be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long and how large one exchange may be."""

    connect_s: float = 10.0
    silence_s: float = 30.0  # without a byte
    page_s: float = 120.0  # from the first byte sent to the last received, however it drips
    body_bytes: int = 32_000_000  # decompressed; four at once stay within a worker's 300 MB


@dataclass(frozen=True, slots=True)
class Route:
    """Where a connection's requests may go, and how.

    ``base_url``     pins the origin: credentials go there alone.
    ``credentials``  names the options to look at when they are refused.
    """

    base_url: str
    allowed_origins: tuple[str, ...] = ()
    proxy: str | None = None
    ca_file: str | None = None
    concurrency: int = 4
    credentials: str = ""
