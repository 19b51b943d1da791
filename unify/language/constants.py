"""A constant of a statement, as what reads conditions and what asks a source for them both know it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Constant:
    """A value as its text; ``type`` is DuckDB's: VARCHAR, BIGINT, DOUBLE, BOOLEAN, DATE, TIMESTAMP …"""

    text: str
    type: str = "VARCHAR"
