"""Hints that a response is one of several pages, and what they say together; ``hint_names`` finds them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

from msgspec import Struct

from unify.adapters.paging.base import parse_count


class HintKind(Enum):
    """The meaning of a hint for further pages."""

    NEXT = "next"  # a way on: an address, a cursor, a number
    MORE = "more"  # a flag that is true if there are more
    LAST = "last"  # a flag that is true on the last page
    TOTAL = "total"  # rows in all pages
    REMAINING = "remaining"  # rows after this page
    PAGES = "pages"  # number of pages
    PAGE = "page"  # number of this page
    OFFSET = "offset"  # rows before this page
    SIZE = "size"  # rows a full page has
    MESSAGE = "message"  # a text such as "results are limited to 100"
    POSSIBLE = "possible"  # may be a cursor or a number of rows


class Hint(Struct, frozen=True):
    """One hint. ``key`` is the name in lower case without separators."""

    kind: HintKind
    path: str
    key: str
    name: str
    parent: str
    value: Any
    in_header: bool = False

    @property
    def number(self) -> int | None:
        return parse_count(self.value)

    def __str__(self) -> str:
        value = str(self.value).lower() if isinstance(self.value, bool) else str(self.value)
        text = f"{self.path}: {value if len(value) <= 60 else value[:60] + '…'}"
        return f"the header {text}" if self.in_header else text


class Hints(Struct, frozen=True):
    """The hints of one response with the number of its rows."""

    items: Sequence[Hint]
    rows: int

    def of(self, *kinds: HintKind) -> Iterator[Hint]:
        return (hint for hint in self.items if hint.kind in kinds)

    def first(self, kind: HintKind, *keys: str) -> Hint | None:
        return next((hint for hint in self.of(kind) if not keys or hint.key in keys), None)

    @property
    def more(self) -> bool | None:
        """Return the meaning of the flags; None without a flag. Contradicting flags announce more."""
        flags = [
            is_set(hint.value) == (hint.kind is HintKind.MORE)
            for hint in self.of(HintKind.MORE, HintKind.LAST)
        ]
        return any(flags) if flags else None

    def has_weak_end(self) -> bool:
        """Whether the flags that say that this is the end may be about a job, and a hint contradicts them."""
        flags = list(self.of(HintKind.MORE, HintKind.LAST))
        return all(hint.key in _WEAK_ENDS for hint in flags) and self.strong() is not None

    def strong(self) -> Hint | None:
        """The first hint that leaves no doubt that more pages exist."""
        for hint in self.items:
            match hint.kind:
                case HintKind.NEXT if has_value(hint.value):
                    return hint
                case HintKind.MORE if is_set(hint.value):
                    return hint
                case HintKind.LAST if not is_set(hint.value):
                    return hint
                case HintKind.TOTAL if (hint.number or 0) > self.rows:
                    return hint
                case HintKind.TOTAL if hint.parent.lower() in ("page", "pages") and (hint.number or 0) > 1:
                    return hint  # fewer than the rows: the number of pages
                case HintKind.REMAINING if (hint.number or 0) > 0:
                    return hint
                case HintKind.MESSAGE:
                    return hint
                case HintKind.PAGES if (hint.number or 0) > 1 and self._counts_pages(hint):
                    return hint
        return None

    def _counts_pages(self, hint: Hint) -> bool:
        """``pages: 120`` may be those of a book, unless the page has a number or it stands with paging."""
        if hint.key not in ("pages", "last") or hint.parent or hint.in_header:
            return True
        return self.first(HintKind.PAGE) is not None

    def full_page(self) -> Hint | None:
        """The page size if exactly as many rows came and nothing says that this is all."""
        if self.says_complete():
            return None
        return next((hint for hint in self.of(HintKind.SIZE) if self.rows and hint.number == self.rows), None)

    def says_complete(self) -> bool:
        """Whether something says that no page follows: an empty way on, a flag, a total of what came."""
        ways_on = list(self.of(HintKind.NEXT))
        return (
            self.more is False
            or (bool(ways_on) and not any(has_value(hint.value) for hint in ways_on))
            or any(hint.number == 1 for hint in self.of(HintKind.PAGES))
            or any(
                hint.number == self.rows and hint.key not in COUNTS_OF_PAGE
                for hint in self.of(HintKind.TOTAL)
            )
        )


# Flags that may say that a query is done, and not that its pages are.
_WEAK_ENDS = frozenset(
    [
        "jobcomplete",
        "done",
        "isdone",
        "complete",
        "completed",
        "iscomplete",
        "iscompleted",
        "finished",
        "isfinished",
    ]
)
COUNTS_OF_PAGE = frozenset(
    ["count", "resultcount", "resultscount", "itemcount", "recordcount", "rowcount"]
)  # of this page, if the rows are as many


_MAX_NAME_CHARS = 200  # a longer name says nothing about pages


def simplify(name: str) -> str:
    """A name in lower case without separators and namespace: ``@odata.nextLink`` is ``nextlink``.

    In XML the namespace is written ``opensearch_totalResults``.
    """
    local = _NAMESPACE.sub("", re.split(r"[.:]", name[-_MAX_NAME_CHARS:])[-1].lower())
    return re.sub(r"[^a-z0-9]", "", local)


_NAMESPACE = re.compile(r"^(opensearch|open_search|os|atom|sru|srw|zs|wfs|oai|ns\d+)_")


def is_set(flag: Any) -> bool:
    return flag.strip().lower() in ("true", "1", "yes", "y") if isinstance(flag, str) else bool(flag)


def has_value(value: Any) -> bool:
    """Whether a way on leads anywhere: ``null``, ``""``, ``false``, -1 and 0 do not."""
    if isinstance(value, str):
        return value.strip().lower() not in ("", "null", "none", "false", "-1", "0")
    return value not in (None, False, -1, 0)


# Objects that are about paging: names of all sorts count in them.
