"""Layout on a terminal: the columns and rows that fit; width, truncation and wrapping of text."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from itertools import accumulate

from msgspec import Struct

from unify.interpreter.results import Rows

Row = tuple[object, ...]

MIN_COLUMN_WIDTH = 16  # terminal columns; columns are omitted rather than made narrower than this
MAX_COUNTED_ROWS = 100_000  # rows read to count them: well under a second
MAX_COUNTED_CELLS = 2_000_000
_BORDER_WIDTH = 3  # per column: a line and two spaces
GAP_WIDTH = 1  # the column in place of those omitted


class BoxLayout(Struct, frozen=True):
    """The numbers of the columns to show, and their widths. ``gap``: columns are omitted after this many."""

    columns: tuple[int, ...]
    widths: tuple[int, ...]
    gap: int | None = None


def fit_columns(natural: Sequence[int], max_width: int | None) -> BoxLayout:
    """Return the column widths: natural ones; to fit, narrow the widest, then omit middle columns."""
    if max_width is None or sum(natural) + _BORDER_WIDTH * len(natural) + 1 <= max_width:
        return BoxLayout(tuple(range(len(natural))), tuple(natural))
    left, right = _fit_ends(natural, max_width)
    has_gap = left + right < len(natural)
    columns = (*range(left), *range(len(natural) - right, len(natural)))
    space = max_width - 1 - _BORDER_WIDTH * len(columns) - (_BORDER_WIDTH + GAP_WIDTH if has_gap else 0)
    widths = _shrink_widths([natural[column] for column in columns], space)
    return BoxLayout(columns, tuple(widths), left if has_gap else None)


def _fit_ends(natural: Sequence[int], max_width: int) -> tuple[int, int]:
    """Return the number of columns to show at the left and right end, at MIN_COLUMN_WIDTH or more."""
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
    """Limit all widths to one value, the highest at which their sum is at most ``max_total``."""
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


class RowExcerpt(Struct, frozen=True):
    """The first and last rows, and their total number; ``has_more``: there are more than ``total``."""

    head: Sequence[Row]
    tail: Sequence[Row]
    total: int
    has_more: bool = False

    @property
    def shown_count(self) -> int:
        return len(self.head) + len(self.tail)


def read_excerpt(rows: Rows, max_rows: int) -> RowExcerpt:
    """Read all rows and return ``max_rows`` of them, from both ends. Memory: ``2 * max_rows`` and a batch."""
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
_MIN_CONTEXT_CHARS = 12  # of a statement around its caret; on a narrower terminal the line is wrapped
_FIRST_COLUMN = re.compile(r" *\S.*?\S {2,}(?=\S)")  # the first column of a two-column list


def text_width(text: str) -> int:
    """Return the terminal columns of ``text``: 2 for a wide character, 0 for a combining one."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth  # deferred: most text is ASCII

    width: int = wcswidth(text)
    return width if width >= 0 else len(text)


def pad_text(text: str, width: int, right: bool = False) -> str:
    """Pad ``text`` with spaces to ``width``, on its left if ``right``."""
    fill = " " * (width - text_width(text))
    return fill + text if right else text + fill


def truncate_text(text: str, width: int, ellipsis: str = "…") -> str:
    """Return ``text``, or its beginning with an ellipsis, in at most ``width`` columns."""
    if len(text) <= width and text_width(text) <= width:
        return text
    available = width - len(ellipsis)
    if available < 0:
        return ellipsis[:width]
    if text.isascii():
        return text[:available] + ellipsis
    return _truncate_wide_text(text, available) + ellipsis


def wrap_text(text: str, width: int) -> str:
    """Wrap lines between words to less than ``width`` columns, with a hanging indent.

    A statement line with a caret below it is cropped around the caret instead.
    """
    text = _CARET_BLOCK.sub(lambda match: _crop_around_caret(*match.groups(), width=width), text)
    return "\n".join(part for line in text.split("\n") for part in _wrap_line(line, width))


def _wrap_line(line: str, width: int) -> list[str]:
    if len(line) < width or _CARET_LINE.match(line):
        return [line]
    from textwrap import wrap

    indent = " " * _hanging_indent(line, width)
    parts = wrap(
        line, max(1, width - 1), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return parts or [""]


def _hanging_indent(line: str, width: int) -> int:
    """Return the indent of continued lines: the second column of a list if it starts in the left half."""
    head = _FIRST_COLUMN.match(line)
    if head and head.end() <= width // 2:
        return head.end()
    return len(line) - len(line.lstrip(" "))


def _crop_around_caret(label: str, line: str, before_caret: str, *, width: int) -> str:
    available, at = width - 1 - len(label), len(before_caret) - len(label)
    if len(line) > available >= _MIN_CONTEXT_CHARS and line.isascii():
        before, after = line[:at], line[at:]
        most = available - min(len(after), available // 3)
        before = before if len(before) <= most else "…" + before[len(before) - most + 1 :]
        rest = available - len(before)
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
