"""The tables of the comparison: their rows and how they are served."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from benchmarks.convert import large_row, small_row

CHANGED_ONE_IN = 100  # one row of this many is changed for a refresh


@dataclass(frozen=True, slots=True)
class BenchmarkTable:
    """One table of the API. ``kind`` is small (an object of 600 bytes) or large (of 17 KB, 340 leaves)."""

    name: str
    kind: str
    rows: int
    page_rows: int
    delay_ms: int = 0

    @classmethod
    def parse(cls, text: str) -> BenchmarkTable:
        name, kind, *numbers = text.split(":")
        return cls(name, kind, *map(int, numbers))

    def __str__(self) -> str:
        return f"{self.name}:{self.kind}:{self.rows}:{self.page_rows}:{self.delay_ms}"

    @property
    def pages(self) -> int:
        return -(-self.rows // self.page_rows)

    def encode_rows(self) -> Iterator[bytes]:
        """Return every row as JSON."""
        for number in range(self.rows):
            yield msgspec.json.encode(self._row(number))

    def encode_changed_rows(self) -> Iterator[bytes]:
        """Return the rows changed since the first read, scattered over the table."""
        for number in range(0, self.rows, CHANGED_ONE_IN):
            yield msgspec.json.encode(
                {**self._row(number), "state": "reopened", "updated_at": "2024-06-01T00:00:00Z"}
            )

    def _row(self, number: int) -> dict[str, Any]:
        if self.kind == "large":
            row = large_row(number)
            return {**row, "description": f"{row['description']}{'y' * 680}"}
        seen = f"Seen on {number % 90} machines since the last release; the log of one of them is attached."
        return {**small_row(number), "body": seen}
