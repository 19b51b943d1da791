"""Hints that a response is one of several pages: members outside the rows, and headers.

A name says what a member is; where a name has other meanings too (``token``, ``count``, ``total``), it counts
only beside the rows or in an object that is about paging.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from unify.adapters.paging.base import Member, PageInfo, parse_integer


class HintKind(Enum):
    """What a hint says of further pages."""

    NEXT = "next"  # a way on: an address, a cursor, a number
    MORE = "more"  # a flag that is true if there are more
    LAST = "last"  # a flag that is true on the last page
    TOTAL = "total"  # rows in all pages
    REMAINING = "remaining"  # rows after this page
    PAGES = "pages"  # number of pages
    PAGE = "page"  # number of this page
    OFFSET = "offset"  # rows before this page
    SIZE = "size"  # rows a full page has


@dataclass(frozen=True, slots=True)
class Hint:
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
        return parse_integer(self.value)

    def __str__(self) -> str:
        value = str(self.value).lower() if isinstance(self.value, bool) else str(self.value)
        text = f"{self.path}: {value if len(value) <= 60 else value[:60] + '…'}"
        return f"the header {text}" if self.in_header else text


@dataclass(frozen=True, slots=True)
class Hints:
    """The hints of one response with the number of its rows."""

    items: Sequence[Hint]
    rows: int

    def of(self, *kinds: HintKind) -> Iterator[Hint]:
        return (hint for hint in self.items if hint.kind in kinds)

    def first(self, kind: HintKind, *keys: str) -> Hint | None:
        return next((hint for hint in self.of(kind) if not keys or hint.key in keys), None)

    @property
    def more(self) -> bool | None:
        """What flags say; None without a flag. Flags that contradict each other announce more."""
        flags = [
            is_set(hint.value) == (hint.kind is HintKind.MORE)
            for hint in self.of(HintKind.MORE, HintKind.LAST)
        ]
        return any(flags) if flags else None

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
                case HintKind.REMAINING if (hint.number or 0) > 0:
                    return hint
                case HintKind.PAGES if (hint.number or 0) > 1 and self._counts_pages(hint):
                    return hint
        return None

    def _counts_pages(self, hint: Hint) -> bool:
        """``pages: 120`` may be those of a book, unless the page has a number or it stands with paging."""
        return hint.key not in ("pages", "last") or bool(hint.parent) or self.first(HintKind.PAGE) is not None

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


def collect_hints(page_info: PageInfo, request_params: Mapping[str, Any], rows_name: str) -> Hints:
    """The hints of a page; ``request_params`` may hold a page size, ``rows_name`` is the table's name."""
    members = page_info.outside()
    found = [
        *(hint for member in members if (hint := _member_hint(member, rows_name)) is not None),
        *(hint for name, value in page_info.headers.items() for hint in _header_hints(name, value)),
    ]
    sizes = [
        Hint(HintKind.SIZE, f"the request's {name}", simplify(name), name, "", value)
        for name, value in request_params.items()
        if simplify(name.rpartition("[")[2]) in _REQUEST_SIZES and parse_integer(value) is not None
    ]
    return Hints([*found, *sizes], page_info.row_count)


def simplify(name: str) -> str:
    """A name in lower case without separators and namespace: ``@odata.nextLink`` is ``nextlink``."""
    return re.sub(r"[^a-z0-9]", "", re.split(r"[.:]", name)[-1].lower())


def is_set(flag: Any) -> bool:
    return flag.strip().lower() in ("true", "1", "yes", "y") if isinstance(flag, str) else bool(flag)


def has_value(value: Any) -> bool:
    """Whether a way on leads anywhere: ``null``, ``""``, ``false``, -1 and 0 do not."""
    if isinstance(value, str):
        return value.strip().lower() not in ("", "null", "none", "false", "-1", "0")
    return value not in (None, False, -1, 0)


# Objects that are about paging: names of all sorts count in them.
_CONTAINER = re.compile(
    r"(pag(e|ing|er|ination)(info|data|meta|details|ination)?s?|meta(data)?|info|cursors?|links?|summary|"
    r"(next|prev|previous)(page)?|(result|response|list|query|search|record)?(info|meta|metadata|set|sets|summary|"
    r"header|envelope|status|context|page|range)|additionaldata|result(s)?|response|data|payload|queries|"
    r"continue|view|header|headers|attr|total|hits|collection|feed|opensearch|nextpage|range|stats|state)"
)
_FOREIGN_CONTAINER = re.compile(
    r".*(shards?|rate|quota|usage|user|account|error|warning|debug|timing|aggregation|facet|bucket|filter|"
    r"limits|links?self|profile|permission|prev|previous|first).*"
)

_MORE = re.compile(
    r"(has|have|is|are|got|with)?(any)?(more|next|additional|further)(page|pages|item|items|record|records|result|"
    r"results|row|rows|data|entries|objects|elements|values|available|toload|exists?|exist)*(incollection|available|"
    r"exists?)?(flag)?|.*hasmore.*|.*hasnext.*|.*(is|was|list)?truncated|.*exceeded(transferlimit|limit)?|"
    r"nextpageexists|incompletelist|ispartial|partialresults?"
)
_LAST = re.compile(
    r"(is|at|on|reached|has)?(the)?(last|final|end)(page|batch|chunk|slice|set|offset)?(reached)?|(is)?done|"
    r"(is)?(complete|completed|finished)|endof(stream|records|data|results?|list|pages|file|collection)|eof|eos|"
    r"(no|nothing)more(pages|results|items|records|data|rows)?|allresults(returned|loaded)?|islastpage|"
    r"(is)?exhausted"
)
_NEXT = re.compile(
    r"(next|more|continu|after|resum|scroll|bookmark|lastevaluated|endcursor|startcursorfornext|vidoffset).*|"
    r".*(next|continuation|scroll|resumption|paging|pagination|paginate|page|cursor)(page)?"
    r"(token|cursor|link|url|uri|href|id|marker|key|offset|start|number|index|mark|position|state|hash)|"
    r".*next(page)?|cursor|token|marker|forwardtoken|pointer|(older|more)\w*(url|link|uri)|cursormark"
)
_NOT_NEXT = re.compile(
    r".*(prev|previous|before|self|sync|delta|csrf|xsrf|access|refreshtoken|idtoken|session|auth|first|current|"
    r"backward|webhook|watch|nextrun|nextupdate|nextrefresh|nextbilling|nextpayment|nextrelease|nexttry|retry|"
    r"nextdate|nextstartdate|nexttime|nextreset|nextenddate|moreinfo|morehelp|learnmore|readmore|pageurl$|"
    r"pagelink$|pageid$|pagetitle).*"
)
_NEXT_PAGE_ID = re.compile(r"next.*")  # next_page_id is a way on, page_id is not
_AMBIGUOUS_NEXT = frozenset(["token", "cursor", "marker", "after", "more", "continue", "pointer", "bookmark"])
_TOTAL_NOUNS = (
    "count|counts|itemscount|recordscount|rowscount|results?|resultcount|resultscount|size|elements?|items?|itemcount|records?|recordcount|hits|rows?|rowcount|found|"
    "entries|number|matches|objects?|documents?|docs|resources?|available|results?available|members|num|"
    "numberofresults|numberofitems|numberofrecords|matching|filtered|length|value"
)
_TOTAL = re.compile(
    rf"total({_TOTAL_NOUNS})?|(num|number|count)?(of)?(all|total|full|overall|grand)({_TOTAL_NOUNS})|"
    rf"({_TOTAL_NOUNS})total|(record|item|row|result|hit|object|element|entr(y|ies)|match)s?(count|total|found|filtered)|"
    r"count|found|hits|matches|numfound|nbhits|hitcount|estimatedtotal(hits|results)?|(num|number)(of)?(results|items|records|"
    r"rows|hits|elements|matches|entries)|fullcount|completelistsize|collectionsize|resultsetsize"
)
COUNTS_OF_PAGE = frozenset(["count", "resultcount", "resultscount", "itemcount", "recordcount", "rowcount"])
_AMBIGUOUS_TOTAL = frozenset(["count", "found", "hits", "matches", "total", "pages"])
_REMAINING = re.compile(
    r"remaining(item|row|record|result)?s?(count)?|(items?|rows?|records?|results?)?remaining"
)
_PAGES = re.compile(
    r"(total|num|nb|numberof|max|n)(of)?pages?(count|total)?|pages?(count|total)s?|totalpagescount|lastpage(number)?|"
    r"pages|(nb|max)page|totalnumberofpages|pagestotal|last"
)
_CERTAIN_PAGES = re.compile(r".*page.*")
_PAGE = re.compile(
    r"(current|cur|this)?page(no|num|number|index|idx)?|currentpage(number|index)?|number|current|pageid|p"
)
_OFFSET = re.compile(
    r"(result|row|page|rec|record)?(offset|skip|skipped|startat|startindex|startrow|startposition|startrecord|"
    r"from|start|retstart|firstresult|firstrow|begin)|firstindex"
)
_SIZE = re.compile(
    r"(page|batch|chunk|fetch)size|(per|hitsper|itemsper|resultsper|rowsper|recordsper|entriesper)page|"
    r"(results|items|records)pp|limit|pagelimit|"
    r"max(results?|items?|records?|rows|keys|pagesize)|take|retmax|rows|pagecountlimit|resultrecordcount|"
    r"resultsize|(effective|applied|default)limit|top|size|requestedsize|countperpage|nbperpage|perpagecount|number"
)
_REQUEST_SIZES = frozenset(
    [
        "limit",
        "perpage",
        "pagesize",
        "size",
        "maxresults",
        "max",
        "top",
        "rows",
        "take",
        "count",
        "hitsperpage",
        "itemsperpage",
        "resultsperpage",
        "first",
        "perpage",
        "pagelimit",
        "maxitems",
        "maxrecords",
        "resultrecordcount",
        "number",
        "num",
        "batchsize",
    ]
)


def _member_hint(member: Member, rows_name: str) -> Hint | None:
    key = simplify(member.name)
    parent = simplify(member.parent)
    containers = [simplify(name) for name in member.detour]
    in_container = all(_CONTAINER.fullmatch(name) or name == simplify(rows_name) for name in containers)
    if key in ("value", "count", "text") and parent in ("total", "hits", "totalhits", "totalcount"):
        key = "total"
    in_next = any(re.fullmatch(r"next.*|more|continue|hydranext", name) for name in containers)
    kind = _kind(key, member.value, rows_name, in_next=in_next, in_container=in_container)
    if kind is None or (
        not in_next
        and any(_FOREIGN_CONTAINER.fullmatch(name) for name in containers)
        and not (kind is HintKind.NEXT and in_container)
    ):
        return None
    return Hint(kind, member.path, key, member.name, member.parent, member.value)


def _kind(key: str, value: Any, rows_name: str, *, in_next: bool, in_container: bool) -> HintKind | None:
    if in_next and key not in ("rel", "method", "type", "title", "limit", "size", "count", "name", "number"):
        return HintKind.NEXT
    number = parse_integer(value)
    if _is_flag(key, value):
        if _MORE.fullmatch(key) and (in_container or key not in ("more", "next")):
            return HintKind.MORE
        if _LAST.fullmatch(key) and in_container:
            return HintKind.LAST
    if isinstance(value, bool):
        return None
    if number is not None and number >= 0:
        name = simplify(rows_name)
        if _PAGES.fullmatch(key) and (in_container or _TOTAL_PAGES_NAME.search(key)):
            return HintKind.PAGES
        if in_container and (
            _TOTAL.fullmatch(key)
            or (
                name and key in (f"total{name}", f"{name}count", f"{name}total", f"num{name}", f"{name}found")
            )
        ):
            return HintKind.TOTAL
        if _TOTAL.fullmatch(key) and key not in _AMBIGUOUS_TOTAL and "total" in key:
            return HintKind.TOTAL
        if in_container:
            for pattern, kind in (
                (_REMAINING, HintKind.REMAINING),
                (_OFFSET, HintKind.OFFSET),
                (_PAGE, HintKind.PAGE),
                (_SIZE, HintKind.SIZE),
            ):
                if pattern.fullmatch(key):
                    return kind
    return _next_kind(key, value, in_container=in_container)


_TOTAL_PAGES_NAME = re.compile(r"total|num|nb|count|max")


def _next_kind(key: str, value: Any, *, in_container: bool) -> HintKind | None:
    if key == "offset" and isinstance(value, str) and in_container:
        return HintKind.NEXT  # Airtable's cursor; a number is where this page begins
    if not _NEXT.fullmatch(key) or (key in _AMBIGUOUS_NEXT and not in_container):
        return None
    if _NOT_NEXT.fullmatch(key) and not re.fullmatch(r"next(page|link)?(id|url|link|uri|href|title)?", key):
        return None
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d([T ].*)?", value) and "cursor" not in key:
        return None if "token" not in key and key != "next" else HintKind.NEXT
    return HintKind.NEXT


def _is_flag(key: str, value: Any) -> bool:
    if isinstance(value, bool):
        return True
    if isinstance(value, str):
        return value.strip().lower() in ("true", "false", "yes", "no", "y", "n") or (
            value.strip() in ("0", "1") and _reads_as_question(key)
        )
    return isinstance(value, int) and value in (0, 1) and _reads_as_question(key)


def _reads_as_question(key: str) -> bool:
    return key.startswith(("has", "is", "more", "eof", "end")) or "truncated" in key or "exceeded" in key


_HEADER = re.compile(
    r".*(next|continuation|cursor|hasmore|pagination|paging|total|pages|contentrange|truncated).*|xcount|xpage|xperpage|xlimit|xoffset"
)
_FOREIGN_HEADER = re.compile(
    r".*(ratelimit|quota|retry|runtime|duration|time|remaining|reset|prev|sync|csrf|upload|cost|bytes|charset|embedder).*"
)


def _header_hints(name: str, value: str) -> Iterator[Hint]:
    key = simplify(name.replace(".", "-"))
    if not value or not _HEADER.fullmatch(key) or _FOREIGN_HEADER.fullmatch(key):
        return
    bare = re.sub(r"^x(ms|wp|amz|goog)?", "", key)
    if key == "contentrange":
        total = value.rpartition("/")[2].strip()
        if total.isdigit():
            yield Hint(HintKind.TOTAL, name, "contentrange", name, "", total, in_header=True)
        elif not value.startswith("bytes") and "-" in value:
            yield Hint(HintKind.MORE, name, "contentrange", name, "", value, in_header=True)
        return
    if value.startswith("{"):
        try:
            members = msgspec.json.decode(value)
        except msgspec.DecodeError:
            return
        for inner, item in members.items():
            if isinstance(item, dict | list):
                continue
            kind = _kind(simplify(inner), item, "", in_next=False, in_container=True)
            if kind is not None:
                yield Hint(kind, f"{name}.{inner}", simplify(inner), inner, name, item, in_header=True)
        return
    bare = re.sub(r"^(pagination|paging)(?=.)", "", bare)
    kind = _kind(bare, value, "", in_next=False, in_container=True)
    if kind is not None:
        yield Hint(kind, name, bare, name, "", value, in_header=True)
