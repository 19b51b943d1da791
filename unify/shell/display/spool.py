"""Rows kept until all have been seen, in memory while they are few and on disk from then on."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from types import TracebackType

from unify.shell.display.values import Cells

IN_MEMORY_BYTES = 16 * 1024 * 1024


class Spool:
    """Holds rows in the order they were added; read it as often as you like."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115 — closed when the spool's block ends
            max_size=IN_MEMORY_BYTES, mode="w+", encoding="utf-8", newline="\n"
        )
        self.count = 0

    def add(self, row: Cells) -> None:
        self._file.write(json.dumps(row) + "\n")
        self.count += 1

    def __iter__(self) -> Iterator[Cells]:
        self._file.seek(0)
        for line in self._file:
            yield json.loads(line)

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
