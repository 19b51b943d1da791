"""Which columns of a table tell most about a row: chosen by name, width and kind, from a few rows."""

from __future__ import annotations

import re
from collections.abc import Sequence

from unify.interpreter.results import ResultColumn
from unify.language.scanner import words

MOST_COLUMNS = 8
WIDTH = 100  # characters all chosen columns may take together: most terminals have 100 to 120
_WIDEST_CELL = 32  # a longer value is cut when it is shown

# What columns are called that people look for first; the whole name, or the end of it after an underscore.
_IDENTITY = frozenset({"id", "key", "number", "no", "code", "sku", "uid", "ref"})
_NAMES = frozenset(
    {"name", "title", "subject", "login", "label", "username", "email", "summary", "headline", "message"}
)
_FACTS = words(
    "state status type kind amount total price count quantity size priority language country city date "
    "created created_at updated updated_at due_date opened_at closed_at started_at"
)
# Made for programs: addresses, hashes, and the like.
_MACHINE = re.compile(
    r"(?:^|_)(?:url|uri|href|node_id|gravatar_id|avatar|hash|sha|etag|token|cursor|html|link)$"
)
_ADDRESS = re.compile(r"https?://")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:|$)")

Row = Sequence[object]


def telling(columns: Sequence[ResultColumn], rows: Sequence[Row]) -> tuple[int, ...]:
    """Places of the columns worth showing, in their own order; at least one where there is any."""
    spoken = _spoken_for(columns)
    worth = [
        (_worth(column, [row[place] for row in rows]) - 2 * (column.name.lower() in spoken), -place)
        for place, column in enumerate(columns)
    ]
    best = sorted(((value, -place) for value, place in worth), key=lambda one: (-one[0], one[1]))
    chosen: list[int] = []
    left = WIDTH
    for value, place in best:
        width = _width(columns[place].name, [row[place] for row in rows]) + 3  # the lines between columns
        if chosen and (value <= 0 or width > left):
            continue
        chosen.append(place)
        left -= width
        if len(chosen) == MOST_COLUMNS:
            break
    return tuple(sorted(chosen))


def _spoken_for(columns: Sequence[ResultColumn]) -> frozenset[str]:
    """Numbers of things whose name is there as well: user_id beside user_login."""
    named = {start for start, _, end in (_split(column) for column in columns) if start and end in _NAMES}
    return frozenset(f"{start}_{end}" for start in named for end in _IDENTITY)


def _split(column: ResultColumn) -> tuple[str, str, str]:
    return column.name.lower().rpartition("_")


def _worth(column: ResultColumn, values: Sequence[object]) -> float:
    """How much a column tells; 0 and less is not worth its width."""
    present = [value for value in values if value is not None and value != ""]
    if values and not present:
        return -10
    return _by_name(column.name.lower()) + _by_values(column, present)


def _by_name(name: str) -> float:
    last = name.rpartition("_")[2]
    if _MACHINE.search(name):
        return -6
    if name in _NAMES:
        return 10
    if name in _IDENTITY:
        return 9
    if name in _FACTS:
        return 7
    if last in _NAMES:
        return 5 - name.count("_")  # user_login tells more than head_repo_owner_login
    if last in _IDENTITY:
        return 2 - name.count("_")
    if last in _FACTS or name.endswith(("_at", "_on", "_date")):
        return 4 - name.count("_")
    return 2 - name.count("_")


def _by_values(column: ResultColumn, present: Sequence[object]) -> float:
    if any(mark in column.type for mark in ("STRUCT", "MAP", "[", "JSON", "BLOB")):
        return -5
    texts = [str(value) for value in present]
    if any(_ADDRESS.match(text) for text in texts):
        return -6
    if any(len(text) > 80 or "\n" in text for text in texts):
        return -3
    worth = 0.0
    if len(texts) > 1 and len(set(texts)) == 1:
        worth -= 2  # the same in every row
    if column.type == "BOOLEAN":
        worth -= 1
    if "TIMESTAMP" in column.type or (texts and all(_MOMENT.match(text) for text in texts)):
        worth += 0.5
    return worth


def _width(name: str, values: Sequence[object]) -> int:
    longest = max((len(str(value)) for value in values if value is not None), default=0)
    return max(len(name), min(longest, _WIDEST_CELL))
