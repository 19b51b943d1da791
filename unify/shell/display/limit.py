"""At most so many rows, whatever the format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from unify.interpreter.results import Rows


class Limit:
    """Lets the first ``most`` rows through; ``reached`` says, afterwards, that there were more."""

    def __init__(self, rows: Rows, most: int | None) -> None:
        self.rows = rows
        self.most = most
        self.passed = 0
        self.reached = False

    def batches(self) -> Iterator[Sequence[tuple[object, ...]]]:
        for batch in self.rows.batches:
            room = len(batch) if self.most is None else self.most - self.passed
            self.reached = len(batch) > room
            kept = batch[:room]
            self.passed += len(kept)
            if kept:
                yield kept
            if self.reached:
                return

    def limited(self) -> Rows:
        return replace(self.rows, batches=self.batches())
