"""What of a result fits on a terminal: which columns, how wide, and which rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from unify.interpreter.results import Rows

Row = tuple[object, ...]

READABLE_WIDTH = 16  # columns of a terminal; a column is not made narrower than this to spare another
COUNTED_ROWS = 100_000  # read at most this many to say how many there are: well under a second
COUNTED_CELLS = 2_000_000
_FRAME = 3  # a column's share of the frame: a line and two spaces
GAP_WIDTH = 1  # the column that stands for those left out


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns to show, by number, and their widths. ``gap``: columns are left out after this many."""

    columns: tuple[int, ...]
    widths: tuple[int, ...]
    gap: int | None = None


def fit_columns(natural: Sequence[int], room: int | None) -> Layout:
    """Give each column its natural width; where ``room`` is too little, narrow the widest first, then
    leave out columns from the middle."""
    if room is None or sum(natural) + _FRAME * len(natural) + 1 <= room:
        return Layout(tuple(range(len(natural))), tuple(natural))
    left, right = _ends(natural, room)
    left_out = left + right < len(natural)
    columns = (*range(left), *range(len(natural) - right, len(natural)))
    space = room - 1 - _FRAME * len(columns) - (_FRAME + GAP_WIDTH if left_out else 0)
    widths = _narrowed([natural[column] for column in columns], space)
    return Layout(columns, tuple(widths), left if left_out else None)


def _ends(natural: Sequence[int], room: int) -> tuple[int, int]:
    """How many columns to keep at the left and at the right end, so that each stays readable."""
    needs = [min(width, READABLE_WIDTH) + _FRAME for width in natural]
    if sum(needs) + 1 <= room:
        return len(needs), 0
    space = room - 1 - _FRAME - GAP_WIDTH
    left, right = 1, 0
    used = needs[0]
    while left + right < len(needs):
        at_left, at_right = used + needs[left], used + needs[-1 - right]
        if at_right <= space and (right < left or at_left > space):
            used, right = at_right, right + 1
        elif at_left <= space:
            used, left = at_left, left + 1
        else:
            break
    return left, right


def _narrowed(widths: Sequence[int], space: int) -> list[int]:
    """The widths cut to one level, the highest at which their sum is within ``space``."""
    if sum(widths) <= space:
        return list(widths)
    ascending = sorted(widths)
    before = [0, *accumulate(ascending)]
    for at, width in enumerate(ascending):
        rest = len(ascending) - at
        if before[at] + width * rest > space:
            level = max(1, (space - before[at]) // rest)
            return [min(width, level) for width in widths]
    return list(widths)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The first and the last rows, and how many there are; ``more``: at least one beyond ``total``."""

    head: Sequence[Row]
    tail: Sequence[Row]
    total: int
    more: bool = False

    @property
    def shown(self) -> int:
        return len(self.head) + len(self.tail)


def excerpt(rows: Rows, most: int) -> Excerpt:
    """All rows if they are at most ``most``, else the two ends.

    Memory  about twice ``most`` rows and a batch.
    """
    bound = max(most, min(COUNTED_ROWS, COUNTED_CELLS // max(1, len(rows.columns))))
    head: list[Row] = []
    tail: deque[Row] = deque(maxlen=most // 2)
    total = 0
    for batch in rows.batches:
        head.extend(batch[: most - len(head)])
        tail.extend(batch)
        total += len(batch)
        if total > bound:
            return Excerpt(head, (), bound, more=True)
    if total <= most:
        return Excerpt(head, (), total)
    return Excerpt(head[: most - len(tail)], tuple(tail), total)
