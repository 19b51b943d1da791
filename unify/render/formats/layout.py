"""What of a result fits on a terminal: which columns, how wide, and which rows.

How wide text stands on a terminal, and text made to a width.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from unify.interpreter.results import Rows

Row = tuple[object, ...]

MIN_COLUMN_WIDTH = 16  # columns of a terminal; a column is not made narrower than this to spare another
MAX_COUNTED_ROWS = 100_000  # read at most this many to say how many there are: well under a second
MAX_COUNTED_CELLS = 2_000_000
_BORDER_WIDTH = 3  # a column's share of the frame: a line and two spaces
GAP_WIDTH = 1  # the column that stands for those left out


@dataclass(frozen=True, slots=True)
class BoxLayout:
    """The columns to show, by number, and their widths. ``gap``: columns are left out after this many."""

    columns: tuple[int, ...]
    widths: tuple[int, ...]
    gap: int | None = None


def fit_columns(natural: Sequence[int], max_width: int | None) -> BoxLayout:
    """Give each column its natural width; where ``room`` is too little, narrow the widest first, then
    leave out columns from the middle."""
    if max_width is None or sum(natural) + _BORDER_WIDTH * len(natural) + 1 <= max_width:
        return BoxLayout(tuple(range(len(natural))), tuple(natural))
    left, right = _fit_ends(natural, max_width)
    left_out = left + right < len(natural)
    columns = (*range(left), *range(len(natural) - right, len(natural)))
    space = max_width - 1 - _BORDER_WIDTH * len(columns) - (_BORDER_WIDTH + GAP_WIDTH if left_out else 0)
    widths = _shrink_widths([natural[column] for column in columns], space)
    return BoxLayout(columns, tuple(widths), left if left_out else None)


def _fit_ends(natural: Sequence[int], max_width: int) -> tuple[int, int]:
    """How many columns to keep at the left and at the right end, so that each stays readable."""
    needs = [min(width, MIN_COLUMN_WIDTH) + _BORDER_WIDTH for width in natural]
    if sum(needs) + 1 <= max_width:
        return len(needs), 0
    space = max_width - 1 - _BORDER_WIDTH - GAP_WIDTH
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


def _shrink_widths(widths: Sequence[int], max_total: int) -> list[int]:
    """The widths cut to one level, the highest at which their sum is within ``space``."""
    if sum(widths) <= max_total:
        return list(widths)
    ascending = sorted(widths)
    before = [0, *accumulate(ascending)]
    for at, width in enumerate(ascending):
        rest = len(ascending) - at
        if before[at] + width * rest > max_total:
            level = max(1, (max_total - before[at]) // rest)
            return [min(width, level) for width in widths]
    return list(widths)


@dataclass(frozen=True, slots=True)
class RowExcerpt:
    """The first and the last rows, and how many there are; ``more``: at least one beyond ``total``."""

    head: Sequence[Row]
    tail: Sequence[Row]
    total: int
    has_more: bool = False

    @property
    def shown_count(self) -> int:
        return len(self.head) + len(self.tail)


def read_excerpt(rows: Rows, max_rows: int) -> RowExcerpt:
    """All rows if they are at most ``most``, else the two ends.

    Memory  about twice ``most`` rows and a batch.
    """
    bound = max(max_rows, min(MAX_COUNTED_ROWS, MAX_COUNTED_CELLS // max(1, len(rows.columns))))
    head: list[Row] = []
    tail: deque[Row] = deque(maxlen=max_rows // 2)
    total = 0
    for batch in rows.batches:
        head.extend(batch[: max_rows - len(head)])
        tail.extend(batch)
        total += len(batch)
        if total > bound:
            return RowExcerpt(head, (), bound, has_more=True)
    if total <= max_rows:
        return RowExcerpt(head, (), total)
    return RowExcerpt(head[: max_rows - len(tail)], tuple(tail), total)


_CARET_LINE = re.compile(r"LINE \d+: |\s*\^\s*\Z")  # a line of a statement, and the caret below it
_CARET_BLOCK = re.compile(r"^(LINE \d+: )(.*)\n( *)\^$", re.MULTILINE)
_MIN_CONTEXT_CHARS = (
    12  # characters of a statement that show a place; a terminal with less room has to break the line
)
_FIRST_COLUMN = re.compile(r" *\S.*?\S {2,}(?=\S)")  # what stands in a column of its own at the left


def text_width(text: str) -> int:
    """The columns ``text`` takes; a wide character takes two, a combining one none."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth  # only where somebody writes more than ASCII

    width: int = wcswidth(text)
    return width if width >= 0 else len(text)


def pad_text(text: str, width: int, right: bool = False) -> str:
    """``text`` filled with spaces to ``width``, on its left if ``right``."""
    fill = " " * (width - text_width(text))
    return fill + text if right else text + fill


def truncate_text(text: str, width: int, ellipsis: str = "…") -> str:
    """``text``, or as much of its beginning as ``width`` has room for with an ellipsis behind it."""
    if len(text) <= width and text_width(text) <= width:
        return text
    room = width - len(ellipsis)
    if room < 0:
        return ellipsis[:width]
    if text.isascii():
        return text[:room] + ellipsis
    return _truncate_wide_text(text, room) + ellipsis


def wrap_text(text: str, width: int) -> str:
    """``text`` with lines of less than ``width``, broken between words; each goes on below its beginning.

    A line of a statement with a caret below it is cut around the place instead.
    """
    text = _CARET_BLOCK.sub(lambda place: _crop_around_caret(*place.groups(), width=width), text)
    return "\n".join(part for line in text.split("\n") for part in _wrap_line(line, width))


def _wrap_line(line: str, width: int) -> list[str]:
    if len(line) < width or _CARET_LINE.match(line):
        return [line]
    from textwrap import wrap

    indent = " " * _hanging_indent(line, width)
    room = max(1, width - 1)
    kept = wrap(line, room, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return kept or [""]


def _hanging_indent(line: str, width: int) -> int:
    """The column below which a line goes on: that of its second column, if it has one in the left half."""
    head = _FIRST_COLUMN.match(line)
    if head and head.end() <= width // 2:
        return head.end()
    return len(line) - len(line.lstrip(" "))


def _crop_around_caret(label: str, line: str, before_caret: str, *, width: int) -> str:
    room, at = width - 1 - len(label), len(before_caret) - len(label)
    if len(line) > room >= _MIN_CONTEXT_CHARS and line.isascii():
        before, after = line[:at], line[at:]
        most = room - min(len(after), room // 3)
        before = before if len(before) <= most else "…" + before[len(before) - most + 1 :]
        rest = room - len(before)
        line = before + (after if len(after) <= rest else after[: rest - 1] + "…")
        before_caret = " " * (len(label) + len(before))
    return f"{label}{line}\n{before_caret}^"


def _truncate_wide_text(text: str, max_width: int) -> str:
    from wcwidth import wcwidth

    used = 0
    for at, char in enumerate(text):
        used += max(0, wcwidth(char))
        if used > max_width:
            return text[:at]
    return text
